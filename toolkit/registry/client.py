"""Pull and push: what the engine calls.

`pull` asks the mirrors, then the origin; brings what is missing; and records
the image with its name only when everything is there and checked.  `push` does
the way back.  Both can be interrupted at any moment and begun again.
"""

from contextlib import closing

from toolkit.core.digest import Digest
from toolkit.core.errors import InvalidError, NotFoundError
from toolkit.image.platform import Platform, host_platform, parse_platform, runnable_on
from toolkit.registry.auth import Access
from toolkit.registry.credentials import Credentials, find_credentials, parse_credentials
from toolkit.registry.endpoint import Endpoint, find_endpoint, parse_mirror
from toolkit.registry.progress import ALREADY_EXISTS, Progress, Reporter
from toolkit.registry.pull import Pipeline
from toolkit.registry.push import Pushed, push_image
from toolkit.registry.resolve import find_image
from toolkit.registry.session import Patience, Registry
from toolkit.registry.source import Source
from toolkit.registry.transport import Transport

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from toolkit.image.images import ImageRecord, Images
    from toolkit.image.reference import Reference

    Report = Callable[[Progress], None]


def pull(
    reference: "Reference",
    images: "Images",
    *,
    platform: "Platform | str | None" = None,
    credentials: "Credentials | str | None" = None,
    mirrors: "Sequence[str]" = (),
    insecure: "Collection[str]" = (),
    progress: "Report | None" = None,
    patience: Patience | None = None,
) -> "ImageRecord":
    """Bring an image here and let `reference` mean it.

    Args:
        reference: by tag or by digest.
        images: where to.
        platform: which image of several; default this machine's.
        credentials: for the origin; "user:password" or ready-made; default what `docker login` stored.
        mirrors: asked before the origin, in this order; hosts or URLs.
        insecure: registries (hosts, networks) that may do without TLS.
        progress: hears docker's statuses of each layer, then the lines
            "Digest: ..." and "Status: ..." with an empty layer.
        patience: how often and how long to try.

    Raises:
        NotFoundError: no such image, tag or blob, or none for this platform.
        UnauthorizedError: wrong credentials, or none where some are needed.
        UnreachableError: the registry does not answer.
        RegistryError: its answer makes no sense.
        IntegrityError: its bytes are not what their digests promise.
        UnsupportedError: no container image, or of a kind that went out of use.
        StorageFullError: the disk is full; what has come is kept for the next attempt.
    """
    report = Reporter(progress)
    wanted = parse_platform(platform) if isinstance(platform, str) else platform
    with closing(Transport()) as transport, images.importing():
        sources = _sources(reference, transport, credentials, mirrors, insecure, patience)
        known = _find_known(sources[0], reference, images, wanted)
        if known is not None:
            _announce_known(known, report)
            return _finish(reference, known, _digest_of(known, reference), report, is_new=False)
        found = find_image(sources, reference.digest or reference.tag or "", wanted, images.content)
        Pipeline(found.sources, images.content, images.layers, report).run(found)
        before = images.find_id(reference.canonical())
        record = images.add(found.manifest_digest, _names(reference, found.digest))
        return _finish(reference, record, found.digest, report, is_new=before != record.id)


def tags(
    reference: "Reference",
    *,
    credentials: "Credentials | str | None" = None,
    insecure: "Collection[str]" = (),
    patience: Patience | None = None,
) -> "list[str]":
    """Return all tags of a repository, in the order of its registry.

    Args:
        reference: its tag or digest does not matter.
        credentials: as for `pull`.
        insecure: as for `pull`.
        patience: as for `pull`.

    Raises:
        NotFoundError, UnauthorizedError, UnreachableError, RegistryError: as for `pull`.
    """
    with closing(Transport()) as transport:
        return _sources(reference, transport, credentials, (), insecure, patience)[-1].list_tags()


def check_login(
    registry: str, credentials: Credentials, *, insecure: "Collection[str]" = (), patience: Patience | None = None
) -> None:
    """Find out whether a registry takes the credentials.

    Args:
        registry: a host with an optional port; "docker.io" is Docker Hub.
        credentials: whose.
        insecure: as for `pull`.
        patience: as for `pull`.

    Raises:
        UnauthorizedError: it does not.
        UnreachableError: it does not answer.
        RegistryError: its answer makes no sense.
    """
    with closing(Transport()) as transport:
        session = Registry(find_endpoint(registry, insecure), transport, credentials, patience)
        access = Access(registry, "login", ())
        response = session.request("GET", session.base_url(), access)
        if response.status != 200:
            raise session.refusal(response, access)
        response.finish()


def push(
    reference: "Reference",
    images: "Images",
    *,
    credentials: "Credentials | str | None" = None,
    insecure: "Collection[str]" = (),
    progress: "Report | None" = None,
    patience: Patience | None = None,
) -> Pushed:
    """Send the image that `reference` means here to the registry that it names.

    Args:
        reference: with a tag.
        images: where from.
        credentials: as for `pull`.
        insecure: as for `pull`.
        progress: hears docker's statuses, then the line "TAG: digest: ... size: ...".
        patience: as for `pull`.

    Raises:
        NotFoundError: there is no such image here, or a layer's blob is gone.
        InvalidError: `reference` has a digest.
        UnauthorizedError: not allowed to push there.
        RegistryError: the registry refuses it, or does not answer.
    """
    if reference.digest is not None or reference.tag is None:
        raise InvalidError(f"cannot push to a digest: {reference.familiar()}", hint="push to a tag")
    with closing(Transport()) as transport, images.importing():
        record = images.resolve(reference.canonical())
        mounts = _mounts(reference, images, record)
        scopes = (f"repository:{reference.repository}:pull,push", *(f"repository:{name}:pull" for name in mounts))
        endpoint = find_endpoint(reference.registry, insecure)
        registry = Registry(endpoint, transport, _credentials(endpoint, credentials), patience)
        target = Source(registry, reference.repository, Access(reference.familiar(), "push", scopes))
        pushed = push_image(target, reference.tag, record.manifest_digest, images.content, mounts, Reporter(progress))
        images.tag(reference.with_digest(pushed.digest), record.id)
        return pushed


def _sources(
    reference: "Reference",
    transport: Transport,
    credentials: "Credentials | str | None",
    mirrors: "Sequence[str]",
    insecure: "Collection[str]",
    patience: Patience | None,
) -> "list[Source]":
    access = Access(reference.familiar(), "pull", (f"repository:{reference.repository}:pull",))
    origin = find_endpoint(reference.registry, insecure)
    pairs = [(mirror, _credentials(mirror, None)) for mirror in (parse_mirror(text, insecure) for text in mirrors)]
    pairs.append((origin, _credentials(origin, credentials)))
    return [
        Source(Registry(endpoint, transport, secret, patience), reference.repository, access)
        for endpoint, secret in pairs
    ]


def _credentials(endpoint: Endpoint, given: "Credentials | str | None") -> Credentials | None:
    if given is None:
        return find_credentials(endpoint.name)
    return parse_credentials(given) if isinstance(given, str) else given


def _mounts(reference: "Reference", images: "Images", record: "ImageRecord") -> tuple[str, ...]:
    """Return other repositories of the same registry that are known to have the image's layers."""
    known = (one for one in images.references(record.id) if one.digest is not None)
    names = (one.repository for one in known if one.registry == reference.registry)
    return tuple(dict.fromkeys(name for name in names if name != reference.repository))


def _find_known(
    source: Source, reference: "Reference", images: "Images", platform: Platform | None
) -> "ImageRecord | None":
    """Return the image if it is here and the registry still means the same by its name."""
    try:
        record = images.resolve(reference.canonical())
    except NotFoundError:
        return None
    is_right = Platform(record.os, record.architecture, record.variant) in runnable_on(platform or host_platform())
    if not is_right or not all(images.layers.has(diff_id) for diff_id in record.diff_ids):
        return None
    if reference.digest is not None:
        return record
    digest = source.find_digest(reference.tag or "")
    is_same = digest is not None and images.find_id(reference.with_digest(digest).canonical()) == record.id
    return record if is_same else None


def _announce_known(record: "ImageRecord", report: Reporter) -> None:
    from toolkit.core.ids import short_id

    for layer in record.layers:
        report(short_id(layer.digest), ALREADY_EXISTS)


def _digest_of(record: "ImageRecord", reference: "Reference") -> Digest:
    """Return the digest by which the image was pulled from this repository."""
    if reference.digest is not None:
        return reference.digest
    prefix = reference.familiar_name + "@"
    found = (one.removeprefix(prefix) for one in record.repo_digests if one.startswith(prefix))
    return Digest(next(found, record.manifest_digest))


def _names(reference: "Reference", digest: Digest) -> "tuple[Reference, ...]":
    """Return what is to mean an image that was pulled: the tag, and the digest in this repository."""
    by_digest = reference.with_digest(digest)
    return (by_digest,) if reference.digest is not None else (reference, by_digest)


def _finish(
    reference: "Reference", record: "ImageRecord", digest: Digest, report: Reporter, *, is_new: bool
) -> "ImageRecord":
    """Report what came of it, in docker's words."""
    report.line(f"Digest: {digest}")
    status = "Downloaded newer image for" if is_new else "Image is up to date for"
    report.line(f"Status: {status} {reference.familiar()}")
    return record
