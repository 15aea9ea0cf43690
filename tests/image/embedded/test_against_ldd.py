"""Every program of this machine: our search against the real linker's."""

import os
import subprocess
from concurrent.futures import ThreadPoolExecutor

import pytest

from toolkit.core.errors import NotFoundError
from toolkit.image.embedded.host import Host
from toolkit.image.embedded.linker import Linker

_MANY = 50


def programs(linker: Linker) -> list[str]:
    found = set()
    for directory in ("/usr/bin", "/usr/sbin", "/bin", "/sbin"):
        for name in Host().names(directory):
            path = os.path.realpath(f"{directory}/{name}")
            elf = linker.elf(path)
            if elf is not None and elf.interpreter and os.access(path, os.X_OK):
                found.add(path)
    return sorted(found)


def ldd(path: str) -> set[str]:
    listing = subprocess.run(["ldd", path], capture_output=True, text=True, check=False).stdout
    found = set()
    for line in listing.splitlines():
        left, arrow, right = line.strip().partition(" => ")
        if arrow:
            found.add("missing" if "not found" in right else os.path.realpath(right.split(" (")[0]))
        elif left.startswith("/"):
            found.add(os.path.realpath(left.split(" (")[0]))
    return found


def ours(linker: Linker, path: str) -> set[str]:
    try:
        return {os.path.realpath(each) for each in linker.closure(path)}
    except NotFoundError:
        return {"missing"}


@pytest.mark.needs("ldd")
def test_every_program_here_resolves_as_ldd_says() -> None:
    linker = Linker(Host())
    paths = programs(linker)
    with ThreadPoolExecutor(2) as threads:
        truths = list(threads.map(ldd, paths))
    wrong = {}
    for path, truth in zip(paths, truths, strict=True):
        got = ours(linker, path)
        if got != truth and not ("missing" in got and "missing" in truth):
            wrong[path] = got ^ truth
    assert wrong == {}
    assert len(paths) > _MANY
