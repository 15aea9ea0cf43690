"""From the recipe and a host to five trees, bottom first: nothing is written yet."""

import os
from collections.abc import Callable
from typing import NamedTuple

from toolkit.core.errors import NotFoundError, UnsupportedError
from toolkit.image.embedded import recipe
from toolkit.image.embedded.elf import Elf
from toolkit.image.embedded.files import add_files
from toolkit.image.embedded.host import Host
from toolkit.image.embedded.linker import Linker
from toolkit.image.embedded.python import Python, find_python
from toolkit.image.embedded.tree import Tree

_SCRIPT_SHELLS = ("sh", "bash", "dash")


class Layer(NamedTuple):
    """One layer to be."""

    title: str
    tree: Tree


class Assembly(NamedTuple):
    """The image to be."""

    layers: tuple[Layer, ...]
    command: str
    """What runs by default: the name of a shell."""
    machine: str
    """The ELF machine of its programs."""


def assemble(host: Host) -> Assembly:
    """Decide which files of the host make the image.

    Raises:
        UnsupportedError: the host has no shell.
    """
    return _Assembler(host).run()


class _Assembler:
    def __init__(self, host: Host) -> None:
        self._host = host
        self._linker = Linker(host)
        self._base = Tree(host)
        self._libraries = Tree(host, self._base)
        self._shell = Tree(host, self._libraries)
        self._tools = Tree(host, self._shell)
        self._python = Tree(host, self._tools)

    def run(self) -> Assembly:
        shell = self._find("bash") or self._find("sh")
        elf = self._linker.elf(shell) if shell else None
        if shell is None or elf is None:
            raise UnsupportedError("this machine has no shell to make an image of", hint="install bash or dash")
        add_files(self._base, self._host, shell)
        self._add_group(recipe.SHELL, self._shell)
        if self._host.walk(shell).real not in self._shell:
            raise UnsupportedError(
                f"{shell} cannot be copied: a library of it is missing", hint="reinstall its package"
            )
        self._add_group(recipe.TOOLS, self._tools)
        self._add_data(shell)
        python = self._add_python()
        layers = (
            Layer("directories, users and settings", self._base),
            Layer("the libraries that the programs need", self._libraries),
            Layer(recipe.SHELL.title, self._shell),
            Layer(recipe.TOOLS.title, self._tools),
            Layer(f"Python {python.version}" if python else "", self._python),
        )
        kept = tuple(layer for layer in layers if len(layer.tree))
        return Assembly(kept, os.path.basename(shell), elf.machine)

    def _find(self, name: str) -> str | None:
        for directory in recipe.PATH:
            path = f"{directory}/{name}"
            if self._host.is_file(path) and os.access(self._host.outside(path), os.X_OK):
                return path
        return None

    def _add_group(self, group: recipe.Group, tree: Tree) -> None:
        for name in group.programs:
            path = self._find(name)
            if path is not None and self._can_run(path):
                tree.copy(path)

    def _can_run(self, path: str) -> bool:
        elf = self._linker.elf(path)
        if elf is None:
            return self._is_shell_script(path)
        try:
            self._add_libraries(path, elf, self._libraries)
        except NotFoundError:  # it does not start on the host either
            return False
        return True

    def _is_shell_script(self, path: str) -> bool:
        first = self._host.read(path).partition(b"\n")[0].decode("utf-8", "replace")
        return first.startswith("#!") and os.path.basename(first[2:].split(" -")[0].strip()) in _SCRIPT_SHELLS

    def _add_libraries(
        self, path: str, elf: Elf, tree: Tree, *, loader: str = "", place: Callable[[str], str] = str
    ) -> None:
        """Put what `path` needs into `tree`.

        Args:
            path: a program or a library.
            elf: its facts.
            tree: where to.
            loader: the program that loads `path`, if that is a library.
            place: where a file of the host goes in the image.
        """
        needed = self._linker.closure(path, loader=loader)
        default = next((os.path.dirname(each) for each in needed if "/libc.so" in each), "/lib")
        for each in needed:
            real = self._host.walk(each).real
            placed = place(real)
            if placed == real:
                tree.copy(each)
                placed = each
            else:
                tree.place(real, placed)
            directory, _, name = each.rpartition("/")
            if each != elf.interpreter and not self._is_default(directory):
                # Found by ld.so.cache or an RPATH; the image has no cache, so
                # a link in a directory that is always searched leads to it.
                tree.link(f"{self._host.walk(default).real}/{name}", placed)

    def _is_default(self, directory: str) -> bool:
        real = self._host.walk(directory).real
        parts = real.removeprefix("/usr").split("/")[1:]
        return parts[0] in {"lib", "lib64"} and (
            len(parts) == 1 or (len(parts) == 2 and parts[1].endswith("-linux-gnu"))
        )

    def _add_data(self, shell: str) -> None:
        for name in recipe.DLOPENED:
            found = self._linker.find(name, shell)
            if found is not None:
                self._libraries.copy(found)
        for directory in recipe.TERMINFO:
            for name in recipe.TERMINALS:
                for path in (f"{directory}/{name[0]}/{name}", f"{directory}/{ord(name[0]):x}/{name}"):
                    if self._host.is_file(path):
                        self._shell.copy(path)
        for directory in recipe.DATA:
            self._tools.copy_all(directory)
        for path in recipe.DATA_FILES:
            if self._host.is_file(path):
                self._tools.copy(path)
        self._add_pam()

    def _add_pam(self) -> None:
        su = self._find("su")
        pam = self._linker.find("libpam.so.0", su) if su else None
        if su is None or pam is None:
            return
        folder = os.path.dirname(self._host.walk(pam).real)
        for name in recipe.PAM_MODULES:
            module = f"{folder}/security/{name}"
            elf = self._linker.elf(module)
            if elf is not None:
                self._tools.copy(module)
                self._add_libraries(module, elf, self._tools, loader=su)

    def _add_python(self) -> Python | None:
        named = self._find("python3")
        python = find_python(self._linker, [named] if named else [])
        if python is None:
            return None
        elf = self._linker.elf(python.program)
        if elf is None:
            return None
        self._add_libraries(python.program, elf, self._python, place=python.place)
        place = python.place(python.program)
        self._python.place(python.program, place)
        if named is not None and self._host.walk(named).real == place:
            self._python.copy(named)
        else:
            self._python.link("/usr/local/bin/python3", place)
        for path in python.files(self._host):
            self._python.place(self._host.walk(path).real, python.place(path))
            if path.endswith(".so"):
                self._add_extension(path, python)
        return python

    def _add_extension(self, path: str, python: Python) -> None:
        elf = self._linker.elf(path)
        if elf is None:
            return
        try:
            self._add_libraries(path, elf, self._python, loader=python.program, place=python.place)
        except NotFoundError:  # this module cannot be imported on the host either
            return
