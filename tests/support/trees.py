"""Layers in tests: tars made by hand, unpacked in this process, and trees as values to compare."""

import gzip
import hashlib
import io
import os
import stat
import tarfile
from pathlib import Path
from typing import Any, NamedTuple

from toolkit.image.unpack.limits import Limits
from toolkit.image.unpack.stream import Source, Stream
from toolkit.image.unpack.tar import entries
from toolkit.image.unpack.tree import Totals, Tree, explained


def member(
    name: str, content: bytes = b"", kind: bytes = tarfile.REGTYPE, *, target: str = "", **fields: Any
) -> tuple[tarfile.TarInfo, bytes]:
    """Return a tar member; `fields` are tarfile.TarInfo's own: mode, uid, gid, mtime, devmajor, pax_headers, ..."""
    info = tarfile.TarInfo(name)
    info.type, info.size, info.linkname = kind, len(content), target
    info.mode = 0o755 if kind == tarfile.DIRTYPE else 0o644
    for key, value in fields.items():
        setattr(info, key, value)
    return info, content


def directory(name: str, **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """Return a directory."""
    return member(name, kind=tarfile.DIRTYPE, **fields)


def symlink(name: str, target: str, **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """Return a symbolic link."""
    return member(name, kind=tarfile.SYMTYPE, target=target, **fields)


def hardlink(name: str, target: str, **fields: Any) -> tuple[tarfile.TarInfo, bytes]:
    """Return a hard link."""
    return member(name, kind=tarfile.LNKTYPE, target=target, **fields)


def make_tar(*members: tuple[tarfile.TarInfo, bytes], form: int = tarfile.PAX_FORMAT, **options: Any) -> bytes:
    """Return a tar of these members, in this order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form, **options) as archive:
        for info, content in members:
            archive.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def unpack(blob: bytes, target: Path, limits: Limits | None = None) -> Totals:
    """Unpack a blob into a new directory `target`, in this process."""
    target.mkdir()
    file = target.with_name(target.name + ".blob")
    file.write_bytes(blob)
    blob_fd, root_fd = os.open(file, os.O_RDONLY), os.open(target, os.O_RDONLY | os.O_DIRECTORY)
    mask = os.umask(0)
    tree = Tree(root_fd)
    name = b""
    try:
        stream = Stream(Source(blob_fd, hashlib.sha256(), limits or Limits()).chunks())
        for entry in entries(stream):
            name = entry.name
            tree.write(entry, stream)
        stream.drain()
        return tree.finish()
    except OSError as exc:
        raise explained(exc, name) from exc
    finally:
        tree.close()
        os.umask(mask)
        os.close(blob_fd)
        os.close(root_fd)


def unpack_gzip(tar: bytes, target: Path, limits: Limits | None = None) -> Totals:
    """As `unpack`, of the gzip of a tar."""
    return unpack(gzip.compress(tar, 1), target, limits)


class Node(NamedTuple):
    """Everything about a file that a layer can say."""

    kind: str
    mode: int
    owner: tuple[int, int]
    mtime_ns: int
    content: bytes
    device: int
    xattrs: tuple[tuple[str, bytes], ...]
    links: tuple[str, ...]
    """All names of the same inode."""


def snapshot(root: Path, *, with_times: bool = True) -> dict[str, Node]:
    """Return a tree as a value: path -> node, the root itself as "."."""
    names: dict[int, list[str]] = {}
    paths = [root, *(root / path for path in sorted(walk(root)))]
    for path in paths:
        names.setdefault(path.lstat().st_ino, []).append(os.path.relpath(path, root))
    return {os.path.relpath(path, root): _node(path, names, with_times=with_times) for path in paths}


def walk(root: Path) -> list[str]:
    """Return the paths of all that is below `root`, relative to it."""
    found: list[str] = []
    for where, directories, files in os.walk(root):
        found += [os.path.relpath(os.path.join(where, name), root) for name in (*directories, *files)]
    return found


def _node(path: Path, names: dict[int, list[str]], *, with_times: bool) -> Node:
    status = path.lstat()
    kind = stat.filemode(status.st_mode)[0]
    content = path.read_bytes() if kind == "-" else os.fsencode(os.readlink(path)) if kind == "l" else b""
    xattrs = tuple(
        sorted(
            (key, os.getxattr(path, key, follow_symlinks=False)) for key in os.listxattr(path, follow_symlinks=False)
        )
    )
    return Node(
        kind,
        stat.S_IMODE(status.st_mode) if kind != "l" else 0,
        (status.st_uid, status.st_gid),
        status.st_mtime_ns if with_times else 0,
        content,
        status.st_rdev if kind in "bc" else 0,
        xattrs,
        tuple(names[status.st_ino]),
    )
