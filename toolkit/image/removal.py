"""`docker rmi`: when a name goes, when the image goes with it, and what stands in the way.

The rules and the words are moby's (daemon/images/image_delete.go).  A conflict
is hard (a running container) or soft (several names, a stopped container):
force overrides soft ones only.
"""

from hashlib import sha256
from typing import NamedTuple

from toolkit.core.errors import ConflictError
from toolkit.core.ids import short_id
from toolkit.image.reference import Reference, parse_reference

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from toolkit.image.images import ImageRecord, Images


class ImageUser(NamedTuple):
    """A container of an image."""

    container_id: str
    is_running: bool


class Pruned(NamedTuple):
    """What a prune removed."""

    lines: list[str]
    """docker's lines: "untagged: NAME" and "deleted: sha256:..."."""
    reclaimed_bytes: int


def remove(images: "Images", text: str, *, force: bool, users: "Mapping[str, Sequence[ImageUser]]") -> list[str]:
    """Do what `Images.remove` promises, within its lock."""
    image = images.find(text)
    using = users.get(image.id, ())
    references = images.references(image.id)
    if not _is_id(image.id, text):
        if not force and using and _is_single(references):
            raise ConflictError(
                f'conflict: unable to remove repository reference "{text}" (must force)'
                f" - container {short_id(using[0].container_id)} is using its referenced image {short_id(image.id)}",
                hint="remove the container first",
            )
        lines = _untag(images, parse_reference(text), references)
        if images.references(image.id):
            return lines
        # The last name is gone.  The image stays if containers use it, nameless, and that is no fault.
        return lines if _conflict(images, image, using, force=force) else lines + _delete(images, image)
    conflict = _conflict(images, image, using, force=force)
    if conflict:
        raise conflict
    return _delete(images, image)


def prune(
    images: "Images",
    users: "Mapping[str, Sequence[ImageUser]]",
    *,
    all_unused: bool,
    chosen: "Callable[[ImageRecord], bool]" = lambda _image: True,
) -> Pruned:
    """Remove the images that have no name, or all that no container uses; of these only those that are chosen."""
    lines: list[str] = []
    before = {diff_id: size for image in images.list() for diff_id, size in _sizes(image)}
    for image in images.list():
        if not users.get(image.id) and (all_unused or not image.names) and chosen(image):
            lines += _delete(images, image)
    after = {diff_id for image in images.list() for diff_id in image.diff_ids}
    return Pruned(lines, sum(size for diff_id, size in before.items() if diff_id not in after))


def _untag(images: "Images", reference: Reference, references: "Sequence[Reference]") -> list[str]:
    """Forget a name; with the last tag of a repository, its digests go too."""
    gone = [reference if reference.digest is None else reference.with_digest(reference.digest)]
    if reference.digest is None:
        same = [one for one in references if one.name == reference.name and one != reference]
        gone += same if all(one.digest is not None for one in same) else []
    for one in gone:
        images.untag(one)
    return [f"Untagged: {one.familiar()}" for one in gone]


def _delete(images: "Images", image: "ImageRecord") -> list[str]:
    others = [chain for other in images.list() if other.id != image.id for chain in _chain_ids(other)]
    lines = [f"Untagged: {one.familiar()}" for one in images.references(image.id)]
    images.forget(image.id)
    gone = [chain for chain in reversed(_chain_ids(image)) if chain not in others]
    return [*lines, f"Deleted: {image.id}", *(f"Deleted: {chain}" for chain in gone)]


def _conflict(
    images: "Images", image: "ImageRecord", using: "Sequence[ImageUser]", *, force: bool
) -> ConflictError | None:
    """Return what stands in the way of deleting an image."""
    running = [user for user in using if user.is_running]
    if running:
        return _refusal(image, "cannot be forced", f"image is being used by running container {_short(running)}")
    if force:
        return None
    if not _is_single(images.references(image.id)):
        return _refusal(image, "must be forced", "image is referenced in multiple repositories")
    if using:
        return _refusal(image, "must be forced", f"image is being used by stopped container {_short(using)}")
    return None


def _refusal(image: "ImageRecord", cure: str, why: str) -> ConflictError:
    return ConflictError(f"conflict: unable to delete {short_id(image.id)} ({cure}) - {why}")


def _short(using: "Sequence[ImageUser]") -> str:
    return short_id(using[0].container_id)


def _is_id(image_id: str, text: str) -> bool:
    """Tell whether the user meant the image itself and not one of its names."""
    return image_id.startswith(text) or image_id.removeprefix("sha256:").startswith(text)


def _is_single(references: "Sequence[Reference]") -> bool:
    """Tell whether there is at most one tag, and all digests are of its repository."""
    tags = [one for one in references if one.digest is None]
    return len(tags) <= 1 and len({one.name for one in references}) <= 1


def _chain_ids(image: "ImageRecord") -> list[str]:
    """Return the names of the layers as stacked, base first (OCI image-spec, config.md, "Layer ChainID")."""
    chain: list[str] = []
    for diff_id in image.diff_ids:
        chain.append(f"sha256:{sha256(f'{chain[-1]} {diff_id}'.encode()).hexdigest()}" if chain else diff_id)
    return chain


def _sizes(image: "ImageRecord") -> list[tuple[str, int]]:
    return list(zip(image.diff_ids, image.layer_sizes, strict=True))
