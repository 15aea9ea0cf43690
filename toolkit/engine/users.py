"""From a user as people write it to the numbers that the kernel takes; looked up in the container's own files."""

from toolkit.core.errors import InvalidError
from toolkit.core.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable


class Identity(NamedTuple):
    """Who a process runs as."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    """`gid` too: a program that changes its group must not thereby lose what the group forbids (CVE-2022-36109)."""
    home: str


_MAX_ID = (1 << 32) - 2
_MAX_DIGITS = 20
_HOME = 5
"""The column of the home directory in a line of /etc/passwd."""


def resolve(user: str, read: "Callable[[str], str]", group_add: tuple[str, ...] = ()) -> Identity:
    """Look up name, uid, name:group or uid:gid as docker does; empty is root.

    Args:
        user: as the user or the image wrote it.
        read: returns the text of a file of the container, "" where there is none.
        group_add: more groups, by name or gid.

    Raises:
        InvalidError: a name that /etc/passwd or /etc/group of the image does not have.
    """
    name, _, group = user.partition(":")
    passwd = _rows(read("/etc/passwd"), 7)
    entry = _find(passwd, name or "0")
    if entry is None and not _is_number(name) and name:
        raise InvalidError(
            f"unable to find user {name}: no matching entries in passwd file", hint="use a name of the image, or a uid"
        )
    uid = int(entry[2]) if entry else int(name or 0)
    home = entry[5] if entry and entry[5] else "/"
    rows = _rows(read("/etc/group"), 4)
    gid = _group(group, rows) if group else int(entry[3]) if entry else 0
    groups = () if group or entry is None else tuple(int(row[2]) for row in rows if entry[0] in row[3].split(","))
    added = tuple(_group(extra, rows) for extra in group_add)
    for number in (uid, gid, *groups, *added):
        if number > _MAX_ID:
            raise InvalidError(f"uids and gids must be in range 0-{_MAX_ID}: {number}", hint="use a smaller id")
    return Identity(uid, gid, tuple(dict.fromkeys((gid, *groups, *added))), home)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS


def _rows(text: str, columns: int) -> list[list[str]]:
    """Return the lines that say something: no more and no less than getpwent(3) sees in a file that may be hostile."""
    rows = [line.strip().split(":") for line in text.split("\n") if line.strip() and not line.startswith("#")]
    rows = [row for row in rows if "\0" not in row[-1] + row[min(_HOME, len(row) - 1)]]
    return [row for row in rows if len(row) >= columns and all(map(_is_number, row[2 : 3 if columns == 4 else 4]))]


def _find(rows: list[list[str]], name: str) -> list[str] | None:
    """Find a row; what is a number is only ever that number, whatever an image calls its users (CVE-2016-3697)."""
    if _is_number(name):
        return next((row for row in rows if int(row[2]) == int(name)), None)
    return next((row for row in rows if row[0] == name), None)


def _group(name: str, rows: list[list[str]]) -> int:
    row = _find(rows, name)
    if row is not None:
        return int(row[2])
    if _is_number(name):
        return int(name)
    raise InvalidError(
        f"unable to find group {name}: no matching entries in group file", hint="use a name of the image, or a gid"
    )
