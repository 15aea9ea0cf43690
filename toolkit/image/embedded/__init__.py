"""The default image, `lab`: made from this machine's own programs, without a network.

A shell, the core utilities, the tools that a lesson looks through (ps, ip,
mount, unshare, ...) and python3, each where it is present, with the libraries
that they need, found by reading ELF.  The layers, their digests and the config
are those of a proper OCI image: the same host gives the same digest.

    ensure      the one entrance: find the image or make it
    recipe.py   what goes in, by name
    elf.py, ldcache.py, linker.py   which libraries a program needs
    host.py, tree.py, files.py, python.py, assemble.py   which files that makes; pure but for reading
    archive.py, describe.py, make.py   files to layers, documents and an image in the stores
"""

from toolkit.core.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from toolkit.image.images import ImageRecord, Images

REFERENCE = "lab"
RECIPE_LABEL = "toolkit.lab.recipe"
VERSION = "2"
"""Of what goes in and how; it must rise with every change of what comes out."""


def find(images: "Images", *, with_names: bool = True) -> "ImageRecord | None":
    """Return the image `lab` that is here; None if there is none, or one that an older recipe has made."""
    try:
        found = images.resolve(REFERENCE, with_names=with_names)
    except NotFoundError:
        return None  # the usual first time
    label = (found.config.get("Labels") or {}).get(RECIPE_LABEL)
    return found if label in (None, VERSION) else None


def ensure(
    images: "Images", progress: "Callable[[str], None] | None" = None, *, is_anew: bool = False
) -> "ImageRecord":
    """Return the image `lab`; make it where it is not here, or was made by another version of the recipe.

    An image that somebody else has called `lab` is left alone.

    Args:
        images: where it is kept.
        progress: gets a line for each stage of the work.
        is_anew: make it again, for programs that the host has got since.

    Raises:
        UnsupportedError: this machine has no shell.
        StorageFullError: no space for it; nothing half-made is left.
    """
    if not is_anew and (found := find(images)) is not None:
        return found
    from toolkit.image.embedded.make import make

    return make(images, progress)
