"""Mounts as a tree: what is attached where in the view of one process, and what kind of thing it is."""

from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from toolkit.linux.mount import unescaped
from toolkit.linux.procfs import read
from toolkit.notebook.figures import Figure
from toolkit.notebook.html import AMBER, BLUE, FAINT, GREEN, INK, LINE, MONO, PURPLE

IMAGE, KERNEL, MEMORY, DISK, COVER = "layers", "kernel", "memory", "disk", "cover"
_LOOKS = {IMAGE: GREEN, KERNEL: BLUE, MEMORY: PURPLE, DISK: AMBER, COVER: FAINT}
_MEANING = {
    IMAGE: "layers of an image, stacked; changes land on top",
    KERNEL: "no files: answers of the kernel",
    MEMORY: "files in memory, gone afterwards",
    DISK: "files on a disk",
    COVER: "covers what is there: nothing to see",
}
_ANSWERS = frozenset(
    ("proc", "sysfs", "cgroup", "cgroup2", "devpts", "mqueue", "securityfs", "debugfs", "tracefs", "bpf", "configfs",
     "fusectl", "binfmt_misc", "hugetlbfs", "pstore", "devtmpfs", "nsfs", "efivarfs", "autofs")
)  # fmt: skip
_MOST_ALIKE = 2
_MOST_NAMES = 4


class Mount(NamedTuple):
    """One line of /proc/PID/mountinfo, as far as a picture needs it."""

    ident: int
    parent: int
    subtree: str
    """Which part of the file system is mounted: "/" is all of it."""
    point: str
    fstype: str
    is_read_only: bool

    @property
    def kind(self) -> str:
        """What it is to a learner."""
        is_inside = "/proc/" in self.point or "/sys/" in self.point
        is_empty = self.fstype == "tmpfs" and self.is_read_only and is_inside
        if self.subtree == "/null" or (is_empty and "cgroup" not in self.point):
            return COVER
        if self.fstype in ("overlay", "fuse.fuse-overlayfs"):
            return IMAGE
        if self.fstype in ("tmpfs", "ramfs"):
            return MEMORY
        return KERNEL if self.fstype in _ANSWERS else DISK


class Row(NamedTuple):
    """One line of the picture: a mount, or several alike."""

    depth: int
    names: tuple[str, ...]
    mount: Mount


def parse_mounts(text: str) -> list[Mount]:
    """Return what /proc/PID/mountinfo says, in the order in which it was mounted.

    See Also:
        proc_pid_mountinfo(5)
    """
    found: list[Mount] = []
    for line in text.splitlines():
        left, _, right = line.partition(" - ")
        fields, (fstype, _source, options) = left.split(), right.split(" ", 2)
        is_read_only = "ro" in fields[5].split(",") or "ro" in options.split(",")
        point = unescaped(fields[4])
        found.append(Mount(int(fields[0]), int(fields[1]), unescaped(fields[3]), point, fstype, is_read_only))
    return found


def read_mounts(pid: int | str = "self") -> list[Mount]:
    """Return the mounts that a process sees.

    Raises:
        SyscallError: ENOENT, ESRCH where it is gone, EACCES, EPERM where it may not be looked at.
    """
    return parse_mounts(read(f"/proc/{pid}/mountinfo"))


def mount_tree(mounts: Sequence[Mount] | int | str, title: str) -> Figure:
    """Draw mounts as a tree.

    Args:
        mounts: what `read_mounts` has read, or the pid of a process to look at now.
        title: whose view it is.
    """
    seen = mounts if not isinstance(mounts, int | str) else read_mounts(mounts)
    rows = tree_rows(seen)
    kinds = [kind for kind in _LOOKS if any(row.mount.kind == kind for row in rows)]
    count = f"{len(seen)} mount{'' if len(seen) == 1 else 's'}"
    html = (
        f'<div style="color:{INK};font-size:.92em;max-width:760px;border:1px solid {LINE};border-radius:10px;'
        f'padding:.6em 1em;overflow-x:auto"><div style="margin-bottom:.5em"><b>{escape(title)}</b> '
        f'<span style="color:{FAINT}">{count}</span></div>'
        f'<div style="display:grid;grid-template-columns:max-content max-content max-content;column-gap:1.6em;'
        f'row-gap:.1em;align-items:baseline">{"".join(map(_row, rows))}</div>{_legend(kinds)}</div>'
    )
    return Figure(html, _text(title, count, rows))


def tree_rows(mounts: Sequence[Mount]) -> list[Row]:
    """Return the lines of the tree; more than two siblings of a kind share one."""
    known = {each.ident for each in mounts}
    children: dict[int, list[Mount]] = {}
    for each in mounts:
        children.setdefault(each.parent if each.parent != each.ident and each.parent in known else 0, []).append(each)
    rows: list[Row] = []
    _walk(rows, children, 0, 0, "")
    return rows


def _walk(rows: list[Row], children: Mapping[int, list[Mount]], parent: int, depth: int, above: str) -> None:
    alike: dict[object, list[Mount]] = {}
    for each in children.get(parent, ()):
        is_leaf = each.ident not in children
        alike.setdefault((each.kind, each.fstype, each.is_read_only) if is_leaf else each.ident, []).append(each)
    for members in alike.values():
        bundles = [members] if len(members) > _MOST_ALIKE else [[each] for each in members]
        for bundle in bundles:
            rows.append(Row(depth, tuple(_name(each.point, above) for each in bundle), bundle[0]))
            _walk(rows, children, bundle[0].ident, depth + 1, bundle[0].point)


def _name(point: str, above: str) -> str:
    """Return a mount point as seen from the one that it lies on."""
    return point.removeprefix(above.rstrip("/")).lstrip("/") or "(once more)" if above and point != "/" else point


def _label(row: Row) -> str:
    shown = ", ".join(row.names[:_MOST_NAMES])
    more = len(row.names) - _MOST_NAMES
    return f"{shown} and {more} more" if more > 0 else shown


def _row(row: Row) -> str:
    colour = _LOOKS[row.mount.kind]
    indent = f"padding-left:{row.depth * 1.5}em"
    branch = f'<span style="color:{FAINT}">└ </span>' if row.depth else ""
    mark = f'<span style="color:{FAINT}">read-only</span>' if row.mount.is_read_only else ""
    return (
        f'<span style="{indent};font-family:{MONO};white-space:nowrap">{branch}'
        f'<span style="color:{colour};font-weight:600">{escape(_label(row))}</span></span>'
        f'<span style="color:{FAINT};font-family:{MONO}">{escape(row.mount.fstype)}</span>{mark or "<span></span>"}'
    )


def _legend(kinds: Sequence[str]) -> str:
    items = "".join(
        f'<span style="white-space:nowrap"><span style="color:{_LOOKS[kind]};font-weight:700">■</span> '
        f"{escape(_MEANING[kind])}</span>"
        for kind in kinds
    )
    return (
        f'<div style="display:flex;flex-wrap:wrap;gap:.2em 1.4em;margin-top:.7em;padding-top:.5em;font-size:.92em;'
        f'border-top:1px solid {LINE};color:{FAINT}">{items}</div>'
    )


def _text(title: str, count: str, rows: Sequence[Row]) -> str:
    labels = [f"{'  ' * row.depth}{_label(row)}" for row in rows]
    width = max(map(len, labels), default=0)
    lines = [
        f"{label:{width}}  {row.mount.fstype:9} {'ro ' if row.mount.is_read_only else 'rw '} {_MEANING[row.mount.kind]}"
        for label, row in zip(labels, rows, strict=True)
    ]
    return "\n".join((f"{title}: {count}", *lines))
