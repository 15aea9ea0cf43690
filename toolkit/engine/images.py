"""The images of an engine: the image room's stores, and where new ones come from."""

from toolkit.core.digest import Digest
from toolkit.core.errors import NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import IO, Any

    from toolkit.engine.engine import Engine
    from toolkit.image.images import ImageRecord, Images
    from toolkit.image.load import Loaded
    from toolkit.image.reference import Reference
    from toolkit.image.removal import ImageUser, Pruned
    from toolkit.registry.progress import Progress
    from toolkit.registry.push import Pushed

HUB = "docker.io"
LAB = "lab"
"""The image that is made from this machine's own programs when it is first asked for."""


class EngineImages:
    """Finds, pulls, makes and removes images."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self._store: Images | None = None

    @property
    def store(self) -> "Images":
        """The stores themselves, opened on first use."""
        if self._store is None:
            from toolkit.image.images import Images

            self._store = Images.open(self._engine.paths.root, self._engine.state)
        return self._store

    def layer_path(self, diff_id: str) -> str:
        """Return the directory of an unpacked layer."""
        return self.store.layers.path(Digest(diff_id))

    def get(self, reference: str, progress: "Callable[[str], None] | None" = None) -> "ImageRecord":
        """Find an image that is here, by name or id; the image `lab` is made where it is not.

        Args:
            reference: the name or id.
            progress: gets a line for each stage of making `lab`.

        Raises:
            NotFoundError: it is not here; `pull` may find it.
        """
        if reference in (LAB, f"{LAB}:latest"):
            return self.make_lab(progress)
        return self.store.resolve(reference)

    def find(self, reference: str) -> "ImageRecord | None":
        """Return an image that is here, without its names; None where `get` would make it, or complain."""
        if reference in (LAB, f"{LAB}:latest"):
            from toolkit.image import embedded

            return embedded.find(self.store, with_names=False)
        try:
            return self.store.resolve(reference, with_names=False)
        except NotFoundError:
            return None

    def make_lab(self, progress: "Callable[[str], None] | None" = None) -> "ImageRecord":
        """Return the image `lab`, made from this machine's own programs where it is not here or by an old recipe."""
        from toolkit.image import embedded

        return embedded.ensure(self.store, progress)

    def list(self) -> "Sequence[ImageRecord]":
        """Return all images, the newest first."""
        return self.store.list()

    def pull(
        self, reference: str, *, progress: "Callable[[Progress], None] | None" = None, **options: "Any"
    ) -> "ImageRecord":
        """Fetch an image from its registry; see `toolkit.registry.client.pull`.

        Raises:
            RegistryError: it could not be fetched; nothing half-made is left.
        """
        if reference in (LAB, f"{LAB}:latest"):
            return self.get(reference)
        from toolkit.image.reference import parse_reference
        from toolkit.registry.client import pull

        wanted = parse_reference(reference)
        options = self._configured(wanted, options, has_mirrors=True)
        record = pull(wanted, self.store, progress=progress, **options)
        self._note("pull", wanted.familiar(), wanted.familiar_name, record)
        return record

    def _note(self, action: str, ident: str, name: str, record: "ImageRecord") -> None:
        """Write down an event of an image, with its labels, as docker does."""
        labels: dict[str, str] = record.config.get("Labels") or {}
        self._engine.events.note("image", action, ident, {**labels, "name": name})

    def tags(self, reference: str, **options: "Any") -> "Sequence[str]":
        """Return the tags of a repository, as its registry lists them; see `toolkit.registry.client.tags`."""
        from toolkit.image.reference import parse_reference
        from toolkit.registry.client import tags

        wanted = parse_reference(reference)
        return tags(wanted, **self._configured(wanted, options))

    def _configured(
        self, reference: "Reference", options: "dict[str, Any]", *, has_mirrors: bool = False
    ) -> "dict[str, Any]":
        """Return the options of a transfer with what the configuration file says of the registry."""
        settings = self._engine.settings
        found = {**options, "insecure": (*options.get("insecure", ()), *settings.insecure_registries)}
        if has_mirrors and not found.get("mirrors") and reference.registry == HUB:
            found["mirrors"] = settings.registry_mirrors
        return found

    def tag(self, reference: str, new_name: str) -> None:
        """Give an image one more name."""
        from toolkit.image.reference import parse_reference

        name, record = parse_reference(new_name), self.get(reference)
        self.store.tag(name, record.id)
        self._note("tag", record.id, name.familiar(), record)

    def remove(self, reference: str, *, force: bool = False) -> "Sequence[str]":
        """Take a name from an image, and remove the image with its last one, as `docker rmi` does.

        Returns:
            docker's lines: "Untagged: NAME" and "Deleted: sha256:...".

        Raises:
            NotFoundError: it is not here.
            ConflictError: containers use it, or it has several names.
        """
        record = self.store.resolve(reference)
        lines = self.store.remove(reference, force=force, users=self.users())
        for line in lines:
            if line.startswith("Untagged: ") and "@" not in line:
                self._note("untag", record.id, record.id, record)
        if any(line.startswith("Deleted: ") for line in lines):
            self._note("delete", record.id, record.id, record)
        return lines

    def push(
        self, reference: str, *, progress: "Callable[[Progress], None] | None" = None, **options: "Any"
    ) -> "Pushed":
        """Upload an image to the registry that its name says; see `toolkit.registry.client.push`.

        Raises:
            NotFoundError: it is not here.
            RegistryError: it could not be uploaded.
        """
        from toolkit.image.reference import parse_reference
        from toolkit.registry.client import push

        wanted = parse_reference(reference)
        pushed = push(wanted, self.store, progress=progress, **self._configured(wanted, options))
        self._note("push", wanted.familiar(), wanted.familiar_name, self.store.resolve(reference))
        return pushed

    def inspect(self, reference: str) -> "dict[str, Any]":
        """Return what `docker image inspect` shows of an image."""
        from toolkit.engine import inspect

        return inspect.image(self.get(reference), self.store.layers.path)

    def save(self, references: "Sequence[str]", file: "IO[bytes]") -> None:
        """Write images to one file, as `docker save` does; see `toolkit.image.save`."""
        from toolkit.image.save import save

        # `get` makes `lab` where it is not here, and names the first that is missing.
        records = [(reference, self.get(reference)) for reference in references]
        save(self.store, references, file)
        for reference, record in records:
            self._note("save", record.id, reference, record)

    def load(self, file: "IO[bytes]") -> "Sequence[Loaded]":
        """Bring the images of such a file here; see `toolkit.image.load`."""
        from toolkit.image.load import load

        loaded = load(self.store, file)
        for image, names in loaded:
            self._note("load", image.id, names[0] if names else image.id, image)
        return loaded

    def prune(
        self, *, all_unused: bool = False, chosen: "Callable[[ImageRecord], bool]" = lambda _image: True
    ) -> "Pruned":
        """Remove the images that have no name, or (`all_unused`) all that no container uses, if they are `chosen`."""
        pruned = self.store.prune(all_unused=all_unused, users=self.users(), chosen=chosen)
        self._engine.events.note("image", "prune", "", {"reclaimed": str(pruned.reclaimed_bytes)})
        return pruned

    def users(self) -> "Mapping[str, Sequence[ImageUser]]":
        """Return the containers of each image, by the image's id."""
        from toolkit.image.removal import ImageUser

        found: dict[str, list[ImageUser]] = {}
        for one in self._engine.containers.list(all=True):
            found.setdefault(one.doc["image_id"], []).append(ImageUser(one.id, one.read_status().is_up))
        return found
