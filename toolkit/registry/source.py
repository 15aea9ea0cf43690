"""Where an image's content comes from: one repository on a registry or a mirror.

Nothing that arrives is used before its digest was checked: a manifest in
memory, a blob while it streams into the content store.  A blob whose
connection breaks goes on from the byte where it stopped.
"""

import hashlib
import json
import re
from typing import NamedTuple
from urllib.parse import urljoin

from toolkit.core.digest import Digest, digest_of, parse_digest, split_digest
from toolkit.core.errors import DigestMismatchError, IntegrityError, InvalidError, NotFoundError, RegistryError
from toolkit.image.manifest import ACCEPT, MANIFEST_MAX_BYTES
from toolkit.registry import progress
from toolkit.registry.failure import BrokenError, StoppedError
from toolkit.registry.session import Attempts, Registry

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.image.content import ContentStore, Ingest
    from toolkit.image.manifest import Descriptor
    from toolkit.registry.auth import Access
    from toolkit.registry.progress import Reporter
    from toolkit.registry.transport import Response

_ACCEPT = {"Accept": ", ".join(ACCEPT)}
_CONTENT_RANGE = re.compile(r"bytes ([0-9]+)-[0-9]+/([0-9]+|\*)")
_NEXT = re.compile(r'<([^>]*)>\s*;\s*rel="?next"?')
_MAX_PAGES = 1000
_MAX_TAGS_BYTES = 4 << 20
_STEP_BYTES = 1 << 20  # a connection that brought this much before it broke counts as progress


class RemoteManifest(NamedTuple):
    """A manifest or an index as it came, its digest checked."""

    content: bytes
    media_type: str
    digest: Digest


class Source(NamedTuple):
    """A repository on one registry."""

    registry: Registry
    repository: str
    access: "Access"

    def find_digest(self, reference: str) -> Digest | None:
        """Return the digest that a tag points at now; None where the registry does not say."""
        url = self.registry.url(self.repository, f"manifests/{reference}")
        response = self.registry.request("HEAD", url, self.access, _ACCEPT)
        response.close()
        if response.status != 200:
            return None  # the GET that follows says why, with a body
        return _stated_digest(response)

    def fetch_manifest(self, reference: str, max_bytes: int = MANIFEST_MAX_BYTES) -> RemoteManifest:
        """Fetch a manifest or an index by tag or digest.

        Raises:
            NotFoundError: there is none.
            UnauthorizedError: not for us.
            DigestMismatchError: it has another digest than was asked for or stated.
            InvalidError: it is larger than `max_bytes`.
        """
        url = self.registry.url(self.repository, f"manifests/{reference}")
        response, content = self._document(url, max_bytes)
        wanted = parse_digest(reference) if ":" in reference else _stated_digest(response)
        if wanted is not None and _digest_like(wanted, content) != wanted:
            raise DigestMismatchError(
                f"the manifest of {self.access.name} from {self.registry.name} does not have the digest {wanted}",
                hint="the registry, or somebody between it and here, altered it",
            )
        digest = wanted if wanted is not None and ":" in reference else digest_of(content)
        return RemoteManifest(content, response.headers.get("Content-Type", ""), digest)

    def list_tags(self) -> list[str]:
        """Return the repository's tags; a long list comes in pages.

        Raises:
            NotFoundError, UnauthorizedError: as `fetch_manifest`.
            RegistryError: the answer is no list, or has no end.
        """
        url = self.registry.url(self.repository, "tags/list")
        found: list[str] = []
        for _page in range(_MAX_PAGES):
            response, content = self._document(url, _MAX_TAGS_BYTES)
            found += _tags_of(content, self.registry.name)
            following = _NEXT.search(response.headers.get("Link", ""))
            if following is None:
                return found
            url = urljoin(response.url, following.group(1))
        raise RegistryError(f"registry {self.registry.name} lists tags without an end", hint="tell its operator")

    def _document(self, url: str, max_bytes: int) -> "tuple[Response, bytes]":
        attempts = self.registry.attempts()
        while True:
            response = self.registry.request("GET", url, self.access, _ACCEPT, attempts=attempts)
            if response.status != 200:
                raise self.registry.refusal(response, self.access)
            try:
                return response, _read(response, max_bytes, f"the manifest of {self.access.name}")
            except BrokenError as exc:
                attempts.failed(exc)

    def fill(self, ingest: "Ingest", layer: str, report: "Reporter") -> None:
        """Bring what is missing of a blob, and make it visible.

        Args:
            ingest: the blob; what it has already is not fetched again.
            layer: the layer's name for reports; empty for none.
            report: hears how far it is.

        Raises:
            NotFoundError: the registry does not have it.
            DigestMismatchError: the bytes are others, or more; none of them is kept.
            UnreachableError: the connection broke too often; what has come stays.
        """
        was_resumed = ingest.offset > 0
        self._bring(ingest, layer, report)
        if layer:
            report(layer, progress.VERIFYING)
        try:
            ingest.commit()
        except DigestMismatchError:
            if not was_resumed:
                raise
            self._bring(ingest, layer, report)  # what an earlier attempt left may have been at fault
            ingest.commit()

    def _bring(self, ingest: "Ingest", layer: str, report: "Reporter") -> None:
        url = self.registry.url(self.repository, f"blobs/{ingest.digest}")
        attempts = self.registry.attempts()
        while ingest.offset < ingest.size:
            start = ingest.offset
            headers = {"Range": f"bytes={start}-"} if start else {}
            response = self.registry.request("GET", url, self.access, headers, attempts=attempts)
            try:
                self._take(response, ingest, layer, report)
            except BrokenError as exc:
                _count(attempts, exc, moved=ingest.offset - start)
            finally:
                response.close()

    def _take(self, response: "Response", ingest: "Ingest", layer: str, report: "Reporter") -> None:
        if response.status == 416 or (response.status == 206 and not _continues(response, ingest)):
            ingest.restart()
            raise BrokenError(f"registry {self.registry.name} cannot resume", hint="try again")
        if response.status not in (200, 206):
            self._refuse(response, ingest)
        if response.status == 200 and ingest.offset:
            ingest.restart()  # the registry ignores Range, and sends all again
        missing = ingest.size - ingest.offset
        if response.length not in (None, missing):
            raise DigestMismatchError(
                f"blob {ingest.digest} has not the {ingest.size} bytes that its manifest states:"
                f" {self.registry.name} announces {response.length} where {missing} are missing",
                hint="the image is damaged: push it again",
            )
        for chunk in response.chunks():
            ingest.write(chunk)
            if layer:
                report(layer, progress.DOWNLOADING, ingest.offset, ingest.size)
        if ingest.offset < ingest.size:
            raise BrokenError(
                f"blob {ingest.digest} ended after {ingest.offset} of {ingest.size} bytes", hint="try again"
            )

    def _refuse(self, response: "Response", ingest: "Ingest") -> None:
        if response.status == 404:
            raise NotFoundError(
                f"blob {ingest.digest} of {self.access.name} not found on {self.registry.name}",
                hint="the image is incomplete there: push it again",
            )
        raise self.registry.refusal(response, self.access)


def fetch_blob(
    sources: "Sequence[Source]", descriptor: "Descriptor", content: "ContentStore", layer: str, report: "Reporter"
) -> None:
    """Bring a blob into the content store, from the first source that has it.

    Raises:
        NotFoundError: the last source does not have it.
        IntegrityError: the last source has other bytes.
        RegistryError: the last source fails.
    """
    with content.ingest(descriptor.digest, descriptor.size) as ingest:
        for source in sources[:-1]:
            if ingest.is_complete:
                break
            try:
                source.fill(ingest, layer, report)
            except StoppedError:
                raise
            except (RegistryError, NotFoundError, IntegrityError):
                continue  # a mirror may fail: the origin has the last word
        if not ingest.is_complete:
            sources[-1].fill(ingest, layer, report)
    if layer:
        report(layer, progress.DOWNLOADED)


def _count(attempts: Attempts, exc: BrokenError, *, moved: int) -> None:
    if moved >= _STEP_BYTES:
        attempts.succeeded()
    attempts.failed(exc)


def _continues(response: "Response", ingest: "Ingest") -> bool:
    """Tell whether a 206 brings what was asked for: from our offset on, of a blob of that size."""
    found = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
    return found is not None and int(found[1]) == ingest.offset and found[2] in ("*", str(ingest.size))


def _read(response: "Response", max_bytes: int, noun: str) -> bytes:
    parts: list[bytes] = []
    size = response.length or 0
    chunks = response.chunks()
    while size <= max_bytes:
        chunk = next(chunks, None)
        if chunk is None:
            return b"".join(parts)
        parts.append(chunk)
        size = sum(map(len, parts))
    response.close()
    raise InvalidError(f"{noun} is larger than {max_bytes} bytes", hint="check that this is an image")


def _stated_digest(response: "Response") -> Digest | None:
    try:
        return parse_digest(response.headers.get("Docker-Content-Digest", ""))
    except InvalidError:
        return None


def _digest_like(digest: Digest, content: bytes) -> Digest:
    algorithm = split_digest(digest)[0]
    return Digest(f"{algorithm}:{hashlib.new(algorithm, content).hexdigest()}")


def _tags_of(content: bytes, registry: str) -> list[str]:
    try:
        listed = json.loads(content)["tags"] or []
        if not all(isinstance(tag, str) for tag in listed):
            raise TypeError
    except (ValueError, KeyError, TypeError, RecursionError) as exc:
        raise RegistryError(f"registry {registry} sent no list of tags", hint="check that this is a registry") from exc
    return list(listed)
