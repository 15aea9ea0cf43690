"""Random images of several layers: overlay, copy and lookup all show what the OCI spec says of whiteouts.

The model is the spec's own procedure (layer.md, "Applying Changesets"): a
layer's whiteouts hide what lower layers have, then its entries are added.
"""

import os
import shutil
import stat
import tarfile
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.trees import directory, make_tar, member, symlink, unpack, walk
from toolkit.linux.mount import MNT_DETACH, mount, umount
from toolkit.storage import overlay, vfs
from toolkit.storage.merged import Level

pytestmark = pytest.mark.needs("root", "overlay")

NAMES = ["a", "b"]
paths = st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join)
Member = tuple[tarfile.TarInfo, bytes]


class Entry(NamedTuple):
    """One member of a layer."""

    path: str
    kind: str
    value: int
    """Makes files, modes and targets different."""


class Seen(NamedTuple):
    """What is compared."""

    kind: str
    mode: int
    content: bytes


entries = st.builds(
    Entry,
    paths,
    st.sampled_from(["file", "file", "directory", "directory", "symlink", "whiteout", "opaque"]),
    st.integers(0, 7),
)
layers = st.lists(st.lists(entries, max_size=8), min_size=1, max_size=4)


def sound(layer: list[Entry]) -> list[Entry]:
    """Leave out what contradicts itself: below no directory of the same layer, or twice the same path."""
    kinds: dict[str, str] = {}
    for entry in layer:
        parents = [entry.path.rsplit("/", depth)[0] for depth in range(1, entry.path.count("/") + 1)]
        if any(kinds.get(parent, "directory") not in ("directory", "opaque", "whiteout") for parent in parents):
            continue
        below = any(path.startswith(entry.path + "/") for path in kinds)
        if entry.kind in ("file", "symlink") and (below or kinds.get(entry.path) in ("directory", "opaque")):
            continue
        if kinds.get(entry.path, "whiteout") in ("file", "symlink") and entry.kind != "whiteout":
            continue
        kinds[entry.path] = (
            entry.kind if kinds.get(entry.path) is None or entry.kind != "whiteout" else kinds[entry.path]
        )
    return [entry for entry in layer if _fits(entry, kinds)]


def _fits(entry: Entry, kinds: dict[str, str]) -> bool:
    parents = [entry.path.rsplit("/", depth)[0] for depth in range(1, entry.path.count("/") + 1)]
    if any(kinds.get(parent) in ("file", "symlink") for parent in parents):
        return False
    if entry.kind in ("file", "symlink"):
        return kinds.get(entry.path) == entry.kind and not any(path.startswith(entry.path + "/") for path in kinds)
    return entry.kind == "whiteout" or kinds.get(entry.path) not in ("file", "symlink")


def tar_of(layer: list[Entry]) -> bytes:
    members: list[Member] = []
    for path, kind, value in layer:
        parent, _, name = path.rpartition("/")
        if kind == "file":
            members.append(member(path, b"content %d" % value, mode=0o600 + value))
        elif kind == "directory":
            members.append(directory(path, mode=0o700 + value))
        elif kind == "symlink":
            members.append(symlink(path, f"../target{value}"))
        elif kind == "whiteout":
            members.append(member(f"{parent}/.wh.{name}"))
        else:
            members.append(member(f"{path}/.wh..wh..opq"))
    return make_tar(*members)


def apply(tree: dict[str, Seen], layer: list[Entry]) -> None:
    """Change a tree as the spec says: hide, then add; a directory that no member names is root's and 0755."""
    for path, kind, _ in layer:
        if kind in ("whiteout", "opaque"):
            for name in [name for name in tree if name.startswith(path + "/") or (name == path and kind == "whiteout")]:
                del tree[name]
    for path, kind, value in layer:
        for depth in range(path.count("/"), 0, -1):
            _put(tree, path.rsplit("/", depth)[0], Seen("d", 0o755, b""))
        if kind != "whiteout":
            _put(tree, path, _made(kind, value))
    for path, kind, value in layer:
        if kind == "directory":
            tree[path] = _made(kind, value)


def _made(kind: str, value: int) -> Seen:
    match kind:
        case "file":
            return Seen("-", 0o600 + value, b"content %d" % value)
        case "symlink":
            return Seen("l", 0, b"../target%d" % value)
        case "directory":
            return Seen("d", 0o700 + value, b"")
        case _:
            return Seen("d", 0o755, b"")


def _put(tree: dict[str, Seen], path: str, seen: Seen) -> None:
    if path in tree and seen.kind != "d":
        for name in [name for name in tree if name.startswith(path + "/")]:
            del tree[name]
    tree[path] = seen


def look(root: Path) -> dict[str, Seen]:
    """Return what a mounted tree shows."""
    found: dict[str, Seen] = {}
    for path in walk(root):
        status = (root / path).lstat()
        found[path] = _seen(status, str(root / path))
    return found


def _seen(status: os.stat_result, path: str) -> Seen:
    kind = stat.filemode(status.st_mode)[0]
    if kind == "l":
        return Seen(kind, 0, os.fsencode(os.readlink(path)))
    return Seen(kind, stat.S_IMODE(status.st_mode), Path(path).read_bytes() if kind == "-" else b"")


def look_up(level: Level, path: str = "") -> dict[str, Seen]:
    """Return what the lookup without a mount shows."""
    found: dict[str, Seen] = {}
    for name in level.names():
        hit = level.find(name)
        assert hit is not None
        fd, status = hit
        found[path + name] = _seen(status, f"/proc/self/fd/{fd}/{name}")
        if stat.S_ISDIR(status.st_mode):
            with level.enter(name) as below:
                found |= look_up(below, f"{path}{name}/")
    return found


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(image=[[Entry("a/b", "file", 0)], [Entry("a", "whiteout", 0), Entry("a", "directory", 1)]])
@example(image=[[Entry("a/b", "file", 0)], [Entry("a", "directory", 1), Entry("a", "whiteout", 0)]])
@example(image=[[Entry("a/b", "file", 0)], [Entry("a", "whiteout", 0), Entry("a/a", "file", 1)]])
@given(image=layers.map(lambda image: [sound(layer) for layer in image]))
def test_every_driver_shows_what_the_spec_says(tmp_path: Path, image: list[list[Entry]]) -> None:
    base = tmp_path / os.urandom(6).hex()
    expected: dict[str, Seen] = {}
    directories: list[str] = []
    base.mkdir()
    for number, entries_of_layer in enumerate(image):
        # A layer only hides what there is: of a whiteout in a directory that nobody else has, overlayfs shows the name.
        layer = [entry for entry in entries_of_layer if entry.kind != "whiteout" or entry.path in expected]
        unpack(tar_of(layer), base / str(number))
        directories.append(str(base / str(number)))
        apply(expected, layer)
    stacked = overlay.root_filesystem(directories, str(base), volatile=False)
    overlay.prepare(stacked)
    assert _mounted(stacked, base / "mounted") == expected
    with Level.open(stacked.lower) as level:
        assert look_up(level) == expected
    copied = vfs.root_filesystem(directories, str(base), volatile=False)
    vfs.prepare(copied)
    assert look(Path(copied.path)) == expected
    shutil.rmtree(base)


def _mounted(root: overlay.RootFilesystem, target: Path) -> dict[str, Seen]:
    target.mkdir()
    data = f"lowerdir={':'.join(root.lower)},upperdir={root.upper},workdir={root.work}"
    mount("overlay", str(target), "overlay", 0, data)
    try:
        return look(target)
    finally:
        umount(str(target), MNT_DETACH)
