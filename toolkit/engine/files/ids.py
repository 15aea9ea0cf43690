"""Ids as a container's programs see them, and as the same files have them seen from here; pure but for one read."""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

IdMap = tuple[tuple[int, int, int], ...]
"""Ranges as in /proc/PID/uid_map: inside, outside, length; empty: all ids are the same."""
OVERFLOW = 65534
_ALL = (0, 0, 4294967295)


def read_map(path: str) -> IdMap:
    """Read /proc/PID/uid_map or gid_map."""
    with open(path) as file:
        ranges: Sequence[tuple[int, int, int]] = [
            (int(inside), int(outside), int(length)) for inside, outside, length in map(str.split, file)
        ]
    return () if list(ranges) == [_ALL] else tuple(ranges)


def inside(ids: IdMap, outside_id: int) -> int:
    """Return the id that the container's programs see of a file."""
    if not ids:
        return outside_id
    for first, out, length in ids:
        if out <= outside_id < out + length:
            return first + outside_id - out
    return OVERFLOW


def outside(ids: IdMap, inside_id: int) -> int:
    """Return the id to give a file so that the container's programs see `inside_id`.

    An id that the container has not is that of its root: nobody else outside
    shall own what is copied into it.
    """
    if not ids:
        return inside_id
    for first, out, length in ids:
        if first <= inside_id < first + length:
            return out + inside_id - first
    return outside(ids, 0) if inside_id else ids[0][1]
