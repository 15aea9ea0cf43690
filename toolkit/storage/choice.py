"""The drivers by name."""

from toolkit.core.errors import InvalidError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.storage.driver import Driver

NAMES = ("overlay", "vfs")


def get_driver(name: str) -> "Driver":
    """Return the driver of this name; only that one is imported.

    Raises:
        InvalidError: there is none.
    """
    if name in ("overlay", "overlay2"):  # docker's name for it
        from toolkit.storage import overlay

        return overlay
    if name == "vfs":
        from toolkit.storage import vfs

        return vfs
    raise InvalidError(f"unknown storage driver: {name}", hint=f"there is {' and '.join(NAMES)}")
