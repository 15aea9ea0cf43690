"""One blob on its way to a registry (distribution spec, "Pushing Blobs").

It is asked for first, then mounted from another repository if one is known to
have it, and sent if need be: a small one in one piece, a large one in chunks,
so that a broken connection goes on from the last chunk that arrived.
"""

import io
import os
import re
from typing import NamedTuple
from urllib.parse import quote, urljoin

from toolkit.core.errors import RegistryError
from toolkit.registry import progress
from toolkit.registry.failure import PassingError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import IO

    from toolkit.core.digest import Digest
    from toolkit.registry.progress import Reporter
    from toolkit.registry.session import Attempts
    from toolkit.registry.source import Source
    from toolkit.registry.transport import Response

_CHUNK_BYTES = 16 << 20
_RANGE = re.compile(r"(?:bytes=)?0-([0-9]+)")
_OCTETS = "application/octet-stream"


class Blob(NamedTuple):
    """What is to be sent."""

    digest: "Digest"
    size: int
    path: str
    label: str
    """The layer's name for reports; empty for a config."""


class Upload:
    """Sends one blob to one repository."""

    def __init__(self, target: "Source", blob: Blob, mounts: "Sequence[str]", report: "Reporter") -> None:
        """Prepare to send; `mounts` are repositories of the same registry that may have the blob."""
        self._target = target
        self._registry = target.registry
        self._blob = blob
        self._mounts = mounts
        self._report_to = report

    def run(self) -> None:
        """Make sure that the repository has the blob.

        Raises:
            UnauthorizedError: we may not push there.
            UnreachableError: the connection broke too often.
            RegistryError: the registry refuses the blob.
        """
        if self._is_there():
            self._report(progress.LAYER_ALREADY_EXISTS)
            return
        location = self._mount_or_start()
        if location is None:
            return
        attempts = self._registry.attempts()
        offset = 0
        while True:
            try:
                self._send(location, offset, attempts)
                break
            except PassingError as exc:
                attempts.failed(exc)
                location, offset = self._resume(location)
        self._report(progress.PUSHED)

    def _is_there(self) -> bool:
        url = self._registry.url(self._target.repository, f"blobs/{self._blob.digest}")
        response = self._request("HEAD", url)
        response.close()
        return response.status == 200

    def _mount_or_start(self) -> str | None:
        """Return where to send the blob, or None if it could be mounted."""
        url = self._registry.url(self._target.repository, "blobs/uploads/")
        for name in self._mounts:
            response = self._request("POST", f"{url}?mount={quote(self._blob.digest)}&from={quote(name, safe='')}")
            if response.status == 201:
                response.finish()
                self._report(f"Mounted from {name}")
                return None
            if response.status == 202:
                return self._location(response)
            response.finish()
        return self._start()

    def _start(self) -> str:
        url = self._registry.url(self._target.repository, "blobs/uploads/")
        return self._location(self._request("POST", url))

    def _send(self, location: str, offset: int, attempts: "Attempts") -> None:
        size = self._blob.size
        if size > _CHUNK_BYTES:
            while offset < size:
                length = min(_CHUNK_BYTES, size - offset)
                headers = {"Content-Range": f"{offset}-{offset + length - 1}"}
                response = self._put_bytes("PATCH", location, offset, length, headers)
                location, offset = self._location(response), offset + length
                attempts.succeeded()
        rest = size - offset
        separator = "&" if "?" in location else "?"
        response = self._put_bytes("PUT", f"{location}{separator}digest={quote(self._blob.digest)}", offset, rest, {})
        self._require(response, 201)

    def _put_bytes(self, method: str, url: str, offset: int, length: int, headers: dict[str, str]) -> "Response":
        sent = {"Content-Type": _OCTETS, "Content-Length": str(length), **headers}
        with open(self._blob.path, "rb", buffering=0) as file:
            body = _Window(file, offset, length, self)
            return self._registry.request_once(method, url, self._target.access, sent, body if length else b"")

    def _resume(self, location: str) -> tuple[str, int]:
        """Ask how much has arrived; begin a new upload if the registry has forgotten this one."""
        response = self._request("GET", location)
        found = _RANGE.fullmatch(response.headers.get("Range", ""))
        response.finish()
        if response.status != 204 or found is None or self._blob.size <= _CHUNK_BYTES:
            return self._start(), 0
        arrived = int(found[1]) + 1
        return urljoin(location, response.headers.get("Location", location)), arrived if arrived > 1 else 0

    def _location(self, response: "Response") -> str:
        """Return where the next bytes go, as the registry says."""
        self._require(response, 202)
        location = response.headers.get("Location", "")
        if not location:
            raise RegistryError(f"registry {self._registry.name} names no place to upload to", hint="tell its operator")
        return urljoin(response.url, location)

    def _require(self, response: "Response", status: int) -> None:
        if response.status != status:
            raise self._registry.refusal(response, self._target.access)
        response.finish()

    def _request(self, method: str, url: str) -> "Response":
        return self._registry.request(method, url, self._target.access)

    def _report(self, status: str) -> None:
        if self._blob.label:
            self._report_to(self._blob.label, status)

    def moved(self, position: int) -> None:
        """Report how much was handed to the connection."""
        if self._blob.label:
            self._report_to(self._blob.label, progress.PUSHING, position, self._blob.size)


class _Window(io.RawIOBase):
    """A part of a file, read as if it were the whole; tells its upload how far it is."""

    def __init__(self, file: "IO[bytes]", offset: int, length: int, upload: Upload) -> None:
        super().__init__()
        self._file = file
        self._offset = offset
        self._length = length
        self._position = 0
        self._upload = upload

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        bases = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._length}
        self._position = bases[whence] + offset
        return self._position

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1) -> bytes:
        left = self._length - self._position
        wanted = left if size < 0 else min(size, left)
        content = os.pread(self._file.fileno(), wanted, self._offset + self._position)
        self._position += len(content)
        self._upload.moved(self._offset + self._position)
        return content
