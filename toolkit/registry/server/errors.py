"""The distribution spec's error codes, and the one place that turns them into answers.

See the distribution spec, "Error Codes"; status codes where that leaves them
open are those of Debian's docker-registry.
"""

import json
from typing import NamedTuple

from aiohttp import web

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


class Code(NamedTuple):
    """One of the spec's codes with its usual status and text."""

    name: str
    status: int
    message: str


BLOB_UNKNOWN = Code("BLOB_UNKNOWN", 404, "blob unknown to registry")
BODY_BROKEN = Code("SIZE_INVALID", 400, "the request's body ended early")
BLOB_UPLOAD_INVALID = Code("BLOB_UPLOAD_INVALID", 400, "blob upload invalid")
BLOB_UPLOAD_UNKNOWN = Code("BLOB_UPLOAD_UNKNOWN", 404, "blob upload unknown to registry")
DENIED = Code("DENIED", 403, "requested access to the resource is denied")
DIGEST_INVALID = Code("DIGEST_INVALID", 400, "provided digest did not match uploaded content")
MANIFEST_BLOB_UNKNOWN = Code("MANIFEST_BLOB_UNKNOWN", 400, "manifest references a blob unknown to registry")
MANIFEST_INVALID = Code("MANIFEST_INVALID", 400, "manifest invalid")
MANIFEST_TOO_LARGE = Code("MANIFEST_INVALID", 413, "manifest larger than 4 MiB")
MANIFEST_UNKNOWN = Code("MANIFEST_UNKNOWN", 404, "manifest unknown")
NAME_INVALID = Code("NAME_INVALID", 400, "invalid repository name")
NAME_UNKNOWN = Code("NAME_UNKNOWN", 404, "repository name not known to registry")
PAGINATION_INVALID = Code("PAGINATION_NUMBER_INVALID", 400, "invalid number of results requested")
RANGE_INVALID = Code("BLOB_UPLOAD_INVALID", 416, "chunk is not the next one")
SIZE_INVALID = Code("SIZE_INVALID", 400, "provided length did not match content length")
STORAGE_FULL = Code("UNKNOWN", 507, "the registry has no space left")
TAG_INVALID = Code("TAG_INVALID", 400, "invalid tag")
UNAUTHORIZED = Code("UNAUTHORIZED", 401, "authentication required")
UNKNOWN = Code("UNKNOWN", 500, "the registry failed")
UNSUPPORTED = Code("UNSUPPORTED", 405, "the operation is unsupported")


class RefusedError(Exception):
    """A request that ends with one of the spec's errors.

    Args:
        code: which one.
        detail: for the client's eyes, in the error's "detail".
        headers: to send along.
    """

    def __init__(self, code: Code, detail: object = None, headers: "Mapping[str, str] | None" = None) -> None:
        super().__init__(code.message)
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})

    def response(self) -> web.Response:
        """Return the answer."""
        return error_response(self.code, self.detail, self.headers)


def error_response(code: Code, detail: object = None, headers: "Mapping[str, str] | None" = None) -> web.Response:
    """Return an answer in the spec's JSON form."""
    error = {"code": code.name, "message": code.message, "detail": detail}
    body = json.dumps({"errors": [error]}).encode() + b"\n"
    return web.Response(status=code.status, body=body, headers=headers, content_type="application/json")
