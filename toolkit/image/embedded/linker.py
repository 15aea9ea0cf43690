"""Which libraries a program will load: the dynamic linker's search, without running anything.

`ldd` would run the program's own interpreter; this reads files only, so it also
works on a tree that this machine cannot execute.  Two linkers, two orders:

- glibc: DT_RPATH (the object's, then its loaders', unless the object has
  DT_RUNPATH), DT_RUNPATH (the object's own), ld.so.cache, the built-in
  directories.  See ld.so(8).
- musl: DT_RPATH and DT_RUNPATH alike (the object's, then its loaders'), then
  /etc/ld-musl-ARCH.path or the built-in directories.  See ldso/dynlink.c.

Of libraries for several CPU levels (glibc-hwcaps) the baseline one is taken:
the image shall run on another machine, too.
"""

import fnmatch
from collections.abc import Iterator
from typing import NamedTuple

from toolkit.core.errors import NotFoundError
from toolkit.image.embedded.elf import Elf, read_elf
from toolkit.image.embedded.host import Host
from toolkit.image.embedded.ldcache import parse_cache

_MUSL_DIRECTORIES = ("/lib", "/usr/local/lib", "/usr/lib")
_GLIBC_DIRECTORIES = ("/lib", "/usr/lib")
_GLIBC_DIRECTORIES_64 = ("/lib64", "/usr/lib64")
_MUSL_OWN = ("libc.so", "libpthread.so", "librt.so", "libm.so", "libdl.so", "libutil.so", "libxnet.so")
_TRIPLETS = {"EM_X86_64": "x86_64-linux-gnu", "EM_AARCH64": "aarch64-linux-gnu", "EM_386": "i386-linux-gnu"}


class Loaded(NamedTuple):
    """An object in the process that the linker would build."""

    path: str
    elf: Elf
    loaders: tuple["Loaded", ...]
    """Who asked for it, from near to far; the last one is the program."""


class Linker:
    """Finds libraries in a host's tree as its own dynamic linker would."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._elves: dict[str, Elf | None] = {}
        self._cache: dict[str, list[str]] | None = None

    def elf(self, path: str) -> Elf | None:
        """Return the ELF facts of the file that `path` leads to; None for any other file."""
        real = self._host.walk(path).real
        if real not in self._elves:
            readable = self._host.is_file(real)
            self._elves[real] = read_elf(self._host.outside(real)) if readable else None
        return self._elves[real]

    def closure(self, program: str, *, loader: str = "") -> list[str]:
        """Return every file that must exist for `program` to start: interpreter and libraries.

        Args:
            program: path of a program or, with `loader`, of a library that is loaded with dlopen.
            loader: path of the program that will load it.

        Raises:
            NotFoundError: a library is nowhere; `ldd` says "not found" here.
        """
        top = self._load(program, ())
        if top is None:
            return []
        if loader:
            parent = self._load(loader, ())
            top = top if parent is None else top._replace(loaders=(parent,))
        interpreter = top.loaders[-1].elf.interpreter if top.loaders else top.elf.interpreter
        if not interpreter:
            return []
        found = {interpreter: None}
        for each in self._breadth_first(top, interpreter):
            found[each.path] = None
        return list(found)

    def find(self, name: str, program: str) -> str | None:
        """Return where `program` would find the library `name` with dlopen, or None."""
        top = self._load(program, ())
        if top is None:
            return None
        found = self._search(name, top, top.elf.interpreter)
        return None if found is None else found.path

    def _breadth_first(self, top: Loaded, interpreter: str) -> Iterator[Loaded]:
        # The order matters: a name that is loaded already (by file name or
        # soname) is not searched again, so who asks first decides.
        own = interpreter.rpartition("/")[2]
        known = {own} | ({"ld-linux-x86-64.so.2"} if own.startswith("ld-linux") else set())
        queue = [top]
        for parent in queue:
            for name in parent.elf.needed:
                if name in known or (own.startswith("ld-musl") and name in _MUSL_OWN):
                    continue
                child = self._search(name, parent, interpreter)
                if child is None:
                    hint = "reinstall the package it belongs to"
                    raise NotFoundError(f"{parent.path} needs {name}, which is nowhere on this machine", hint=hint)
                known |= {name, child.elf.soname}
                queue.append(child)
                yield child

    def _search(self, name: str, parent: Loaded, interpreter: str) -> Loaded | None:
        wanted = parent.elf
        for path in self._candidates(name, parent, interpreter):
            child = self._load(path, (parent, *parent.loaders))
            if child is not None and child.elf.runs_with(wanted):
                return child
        return None

    def _load(self, path: str, loaders: tuple[Loaded, ...]) -> Loaded | None:
        elf = self.elf(path)
        return None if elf is None else Loaded(path, elf, loaders)

    def _candidates(self, name: str, parent: Loaded, interpreter: str) -> Iterator[str]:
        if "/" in name:
            yield self._expand(name, parent)
            return
        is_musl = "/ld-musl-" in interpreter
        for directory in _own_directories(parent, is_musl=is_musl):
            yield f"{self._expand(*directory)}/{name}"
        if is_musl:
            yield from (f"{directory}/{name}" for directory in self._musl_directories(interpreter))
            return
        yield from self._cached().get(name, ())
        yield from (f"{directory}/{name}" for directory in _glibc_directories(parent.elf))

    def _expand(self, text: str, owner: Loaded) -> str:
        # A program's origin is where its file really lies (/proc/self/exe), a
        # library's is the directory in which it was found under this name.
        path = owner.path if owner.loaders else self._host.walk(owner.path).real
        origin = self._host.walk(path.rpartition("/")[0] or "/").real
        return text.replace("${ORIGIN}", origin).replace("$ORIGIN", origin).rstrip("/")

    def _musl_directories(self, interpreter: str) -> tuple[str, ...]:
        arch = interpreter.rpartition("/ld-musl-")[2].partition(".")[0]
        path = f"/etc/ld-musl-{arch}.path"
        if not self._host.is_file(path):
            return _MUSL_DIRECTORIES
        return tuple(self._host.read(path).decode().replace("\n", ":").split(":"))

    def _cached(self) -> dict[str, list[str]]:
        if self._cache is None:
            if self._host.is_file("/etc/ld.so.cache"):
                self._cache = parse_cache(self._host.read("/etc/ld.so.cache"))
            else:
                self._cache = self._listed()
        return self._cache

    def _listed(self) -> dict[str, list[str]]:
        # No cache: what ldconfig would have put into it, from ld.so.conf.
        found: dict[str, list[str]] = {}
        for directory in self._configured("/etc/ld.so.conf"):
            for name in self._host.names(directory):
                if ".so" in name:
                    found.setdefault(name, []).append(f"{directory}/{name}")
        return found

    def _configured(self, path: str) -> Iterator[str]:
        if not self._host.is_file(path):
            return
        for raw in self._host.read(path).decode().splitlines():
            line = raw.partition("#")[0].strip()
            if line.startswith("include"):
                pattern = line.removeprefix("include").strip()
                folder, _, names = (pattern if pattern.startswith("/") else f"/etc/{pattern}").rpartition("/")
                for name in fnmatch.filter(self._host.names(folder), names):
                    yield from self._configured(f"{folder}/{name}")
            elif line:
                yield line.rstrip("/")


def _own_directories(parent: Loaded, *, is_musl: bool) -> Iterator[tuple[str, Loaded]]:
    chain = (parent, *parent.loaders)
    if is_musl:
        for each in chain:
            yield from ((text, each) for text in each.elf.runpath or each.elf.rpath)
        return
    if not parent.elf.runpath:
        for each in chain:
            if not each.elf.runpath:
                yield from ((text, each) for text in each.elf.rpath)
    yield from ((text, parent) for text in parent.elf.runpath)


def _glibc_directories(elf: Elf) -> Iterator[str]:
    triplet = _TRIPLETS.get(elf.machine)
    if triplet:
        yield from (f"{directory}/{triplet}" for directory in _GLIBC_DIRECTORIES)
    if elf.bits == 64:
        yield from _GLIBC_DIRECTORIES_64
    yield from _GLIBC_DIRECTORIES
