"""The host's Python for the image: the interpreter and a trimmed standard library.

Debian's /usr/bin/python3 keeps its place.  An interpreter with a prefix of its
own (built by pyenv, downloaded by uv) moves to /usr/local: Python finds its
library from where its program lies.  A shim, which is a script, is passed over.
"""

import fnmatch
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

from toolkit.image.embedded.host import Host
from toolkit.image.embedded.linker import Linker

_ASK = """
import json, sys, sysconfig
paths = sysconfig.get_paths()
print(json.dumps([paths["stdlib"], sysconfig.get_config_var("DESTSHARED") or "", sys.base_prefix,
                  "%d.%d" % sys.version_info[:2], sys.implementation.cache_tag or ""]))
"""
_ASK_TIMEOUT_S = 20
_SYSTEM_PREFIXES = ("/usr", "/usr/local")
_LEFT_OUT = (
    *("test", "tests", "idlelib", "idle_test", "tkinter", "turtledemo", "turtle.py", "lib2to3", "ensurepip", "venv"),
    *("distutils", "pydoc_data", "config-*", "site-packages", "dist-packages", "*.a", "*.exe", "*.pickle"),
    *("_test*.so", "_ctypes_test*.so", "_xxtest*.so", "xxlimited*.so", "_tkinter*.so", "_codecs_??.*.so"),
    *("_codecs_iso2022.*.so", "ossaudiodev*.so", "nis.*.so", "_dbm.*.so", "_gdbm.*.so", "audioop*.so"),
)


class Python(NamedTuple):
    """An interpreter on the host, and what belongs to it."""

    program: str
    """The real path of the interpreter, an ELF file."""
    stdlib: str
    extensions: str
    """lib-dynload; empty where all is built in."""
    prefix: str
    version: str
    """Such as "3.11"."""
    cache_tag: str

    def place(self, path: str) -> str:
        """Return where a file of this interpreter goes in the image."""
        if self.prefix in _SYSTEM_PREFIXES or not path.startswith(self.prefix + "/"):
            return path
        return "/usr/local" + path.removeprefix(self.prefix)

    def files(self, host: Host) -> Iterator[str]:
        """Yield the library's files that a learner needs."""
        yield from self._below(host, self.stdlib)
        if self.extensions and not self.extensions.startswith(self.stdlib + "/"):
            yield from self._below(host, self.extensions)

    def _below(self, host: Host, folder: str) -> Iterator[str]:
        for name in host.names(folder):
            path = f"{folder}/{name}"
            if any(fnmatch.fnmatchcase(name, pattern) for pattern in _LEFT_OUT):
                continue
            if name == "__pycache__":
                yield from self._compiled(host, path)
            elif host.is_directory(path):
                yield from self._below(host, path)
            elif host.is_file(path):
                yield path

    def _compiled(self, host: Host, folder: str) -> Iterator[str]:
        # Compiled files start the interpreter three times as fast; those for
        # -O, and those that belong to what is left out, are not needed.
        tail = f".{self.cache_tag}.pyc"
        for name in host.names(folder):
            module = name.removesuffix(tail)
            if name.endswith(tail) and not any(fnmatch.fnmatchcase(module + ".py", part) for part in _LEFT_OUT):
                yield f"{folder}/{name}"


def find_python(linker: Linker, candidates: list[str]) -> Python | None:
    """Return the first of the candidates that is a real interpreter, then the one that runs this; or None."""
    for path in [*candidates, _own_interpreter()]:
        real = os.path.realpath(path)
        if linker.elf(real) is not None:
            found = _ask(real)
            if found is not None:
                return found
    return None


def _own_interpreter() -> str:
    return getattr(sys, "_base_executable", "") or sys.executable


def _ask(program: str) -> Python | None:
    try:
        answer = subprocess.run(
            [program, "-I", "-S", "-c", _ASK], capture_output=True, timeout=_ASK_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):  # it is broken: the image goes without it
        return None
    stdlib, extensions, prefix, version, cache_tag = json.loads(answer.stdout)
    real = os.path.realpath(prefix)
    inside = real + "/"
    stdlib, extensions = (os.path.realpath(path) if path else "" for path in (stdlib, extensions))
    usable = os.path.isfile(f"{stdlib}/os.py")
    if not usable:
        return None
    prefix = real if stdlib.startswith(inside) else prefix
    return Python(program, stdlib, extensions if os.path.isdir(extensions) else "", prefix, version, cache_tag)
