"""Transactions of nftables, in the text syntax of nft(8): by the library of nft, else by the program.

The library takes 0.3 ms where the program takes 6.  Its JSON syntax is not
used: the parser of 1.0.6 crashes on maps with concatenated keys.
"""

import ctypes
import errno
import os
import shutil
import socket
import struct
import subprocess

from toolkit.core.errors import EngineError, UnsupportedError
from toolkit.linux.probe.netlink import NETLINK_NETFILTER, attribute, message
from toolkit.trace import span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

LIBRARY = "libnftables.so.1"
PROGRAM = "nft"
_SEARCHED = ":/usr/sbin:/sbin"
_NFT_MSG_GETTABLE = 10 << 8 | 1
_NFTA_TABLE_NAME, _NFTA_TABLE_HANDLE = 1, 4
_NFPROTO_INET, _NLMSG_ERROR, _NLA_TYPE_MASK = 1, 2, 0x3FFF
_MISSING = "neither the library libnftables nor the program nft is here"


class NftError(EngineError):
    """nftables refused a transaction; nothing of it has happened."""


class Nft:
    """Runs transactions in the network namespace of the calling thread."""

    def __init__(self) -> None:
        """Look for the library, then for the program.

        Raises:
            UnsupportedError: there is neither.
        """
        self._library = _load()
        self._program = "" if self._library else shutil.which(PROGRAM, path=os.environ.get("PATH", "") + _SEARCHED)
        if self._library is None and not self._program:
            raise UnsupportedError(_MISSING, hint="install the package nftables")

    def run(self, text: str) -> None:
        """Carry out a transaction: all of it, or nothing.

        Raises:
            NftError: what nftables says of it.
        """
        first = text.split("\n", 1)[0]
        with span("netfilter.transaction", f"nft: {first} ... ({text.count(chr(10))} lines)"):
            complaint = self._run_program(text) if self._library is None else _run_library(self._library, text)
            if complaint is None:
                return
        raise _error(complaint)

    def _run_program(self, text: str) -> str | None:
        assert self._program
        ended = subprocess.run(
            [self._program, "-f", "-"], input=text, capture_output=True, text=True, check=False, timeout=30
        )
        return None if ended.returncode == 0 else ended.stderr


def _load() -> "Any":
    try:
        library = ctypes.CDLL(LIBRARY)
        library.nft_ctx_new.restype = ctypes.c_void_p
        library.nft_ctx_new.argtypes = (ctypes.c_uint32,)
        library.nft_ctx_free.argtypes = (ctypes.c_void_p,)
        library.nft_ctx_buffer_error.argtypes = (ctypes.c_void_p,)
        library.nft_ctx_buffer_output.argtypes = (ctypes.c_void_p,)
        library.nft_ctx_get_error_buffer.argtypes = (ctypes.c_void_p,)
        library.nft_ctx_get_error_buffer.restype = ctypes.c_char_p
        library.nft_run_cmd_from_buffer.argtypes = (ctypes.c_void_p, ctypes.c_char_p)
    except (OSError, AttributeError):
        return None
    return library


def _run_library(library: "Any", text: str) -> str | None:
    context = library.nft_ctx_new(0)  # a new one each time: it keeps a picture of the rules, which others change, too
    if not context:
        return os.strerror(errno.ENOMEM)
    try:
        library.nft_ctx_buffer_error(context)
        library.nft_ctx_buffer_output(context)
        if library.nft_run_cmd_from_buffer(context, text.encode()) == 0:
            return None
        complaint: bytes | None = library.nft_ctx_get_error_buffer(context)
        return (complaint or b"").decode(errors="replace") or "it did not say why"
    finally:
        library.nft_ctx_free(context)


def table_handle(name: str) -> int:
    """Return the number that the kernel has given a table of the family inet; 0 where there is none of that name.

    One that is taken away and made again has another.  Asked by netlink: the library would read all that is in it.

    Raises:
        SyscallError: EPERM without CAP_NET_ADMIN.

    See Also:
        include/uapi/linux/netfilter/nf_tables.h, NFT_MSG_GETTABLE
    """
    text = f'sendto(NETLINK_NETFILTER, {{NFT_MSG_GETTABLE, inet, "{name}"}})'
    body = struct.pack("=BBH", _NFPROTO_INET, 0, 0) + attribute(_NFTA_TABLE_NAME, name.encode() + b"\0")
    with (
        span("netfilter.table", text),
        socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, NETLINK_NETFILTER) as link,
    ):
        link.bind((0, 0))
        link.send(message(_NFT_MSG_GETTABLE, 0, body))
        answer = link.recv(65536)
        if struct.unpack_from("=H", answer, 4)[0] == _NLMSG_ERROR:
            number = -struct.unpack_from("=i", answer, 16)[0]
            if number == errno.ENOENT:
                return 0
            raise OSError(number, os.strerror(number))
        return _handle_in(answer)


def _handle_in(answer: bytes) -> int:
    position, (end,) = 20, struct.unpack_from("=I", answer)
    while position < end:
        length, kind = struct.unpack_from("=HH", answer, position)
        if kind & _NLA_TYPE_MASK == _NFTA_TABLE_HANDLE:
            return int(struct.unpack_from(">Q", answer, position + 4)[0])
        position += length + 3 & ~3
    return 0


def _error(complaint: str) -> EngineError:
    line = next((line for line in complaint.splitlines() if "rror:" in line), complaint).strip()
    said = line.partition("rror:")[2].strip() or line
    if "not permitted" in said:
        return NftError(f"nftables: {said}", hint="run as root: rules need CAP_NET_ADMIN")
    if "not supported" in said or "Protocol" in said:
        return NftError(f"nftables: {said}", hint="load the kernel's modules: modprobe nf_tables nft_nat nft_fib_inet")
    return NftError(f"nftables: {said}", hint="`container doctor` shows what this machine can do")
