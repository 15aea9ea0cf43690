"""Where a call is described: the man pages on the web, by the call's name as strace prints it."""

import re

_NAMES = {"prlimit64": "prlimit", "umount2": "umount", "getcwd": "getcwd.3", "clone3": "clone", "mknod": "mknod"}
_CALL = re.compile(r"[a-z_][a-z0-9_]*(?=\()")
_PAGE = re.compile(r"([a-zA-Z_][\w.]*)\((\d(?:const|type)?)\)")


def page_of_call(call: str) -> str:
    """Return the address of a system call's manual page; "" for what is none (an HTTP exchange)."""
    found = _CALL.match(call)
    if found is None:
        return ""
    name = _NAMES.get(found[0], found[0])
    name, _, section = name.partition(".")
    return _address(name, section or "2")


def page_of_reference(see: str) -> str:
    """Return the address of the first manual page that is named in a text such as "pivot_root(2), NOTES"; or ""."""
    found = _PAGE.search(see)
    return _address(found[1], found[2]) if found else ""


def _address(name: str, section: str) -> str:
    return f"https://man7.org/linux/man-pages/man{section[0]}/{name}.{section}.html"
