"""Blobs: reading them, and the three ways of bringing them (distribution spec, "Pushing Blobs").

POST uploads/?digest=     all at once
POST uploads/, PUT        in one piece
POST uploads/, PATCH..., PUT    in chunks, each starting where the last ended
POST uploads/?mount=      from another repository, without a byte
"""

import asyncio
import re

from aiohttp import web

from toolkit.core.digest import Digest
from toolkit.registry.server import errors
from toolkit.registry.server.access import Wish
from toolkit.registry.server.context import authorize, context, repository
from toolkit.registry.server.errors import RefusedError
from toolkit.registry.server.storage import Repository, checked_digest
from toolkit.registry.server.uploads import Upload

_CONTENT_RANGE = re.compile(r"(?:bytes )?([0-9]+)-([0-9]+)(?:/.*)?")


async def get_blob(request: web.Request) -> web.StreamResponse:
    """Send a blob or a range of it; HEAD sends its size alone."""
    found = repository(request)
    digest = checked_digest(request.match_info["digest"])
    if not found.has_blob(digest):
        raise RefusedError(errors.BLOB_UNKNOWN, {"digest": digest})
    headers = {
        "Docker-Content-Digest": digest,
        "Content-Type": "application/octet-stream",
        "Cache-Control": "max-age=31536000",
    }
    return web.FileResponse(context(request).storage.blob_path(digest), headers=headers, chunk_size=1 << 20)


async def delete_blob(request: web.Request) -> web.Response:
    """Take a blob from a repository."""
    digest = checked_digest(request.match_info["digest"])
    if not repository(request).unlink_blob(digest):
        raise RefusedError(errors.BLOB_UNKNOWN, {"digest": digest})
    return web.Response(status=202)


async def start_upload(request: web.Request) -> web.Response:
    """Begin an upload, or end it in the same request (mount, or a digest with the body)."""
    target = repository(request)
    if "mount" in request.query:
        digest = checked_digest(request.query["mount"])
        if _mount(request, target, digest):
            return _created(target, digest)
    upload = context(request).uploads.start(target)
    if "digest" in request.query:
        async with upload.lock:
            return await _complete(request, target, upload)
    return _status(target, upload, 202)


async def upload_status(request: web.Request) -> web.Response:
    """Say how far an upload is."""
    target = repository(request)
    return _status(target, context(request).uploads.get(target, request.match_info["uuid"]), 204)


async def append_chunk(request: web.Request) -> web.Response:
    """Take the next chunk, or all that comes where no Content-Range is given (docker's stream)."""
    target = repository(request)
    upload = context(request).uploads.get(target, request.match_info["uuid"])
    async with upload.lock:
        _check_range(request, target, upload)
        await upload.append(request.content.iter_any())
    return _status(target, upload, 202)


async def end_upload(request: web.Request) -> web.Response:
    """Take the last chunk, if there is one, and make the blob."""
    target = repository(request)
    upload = context(request).uploads.get(target, request.match_info["uuid"])
    async with upload.lock:
        return await _complete(request, target, upload)


async def cancel_upload(request: web.Request) -> web.Response:
    """Forget an upload and its bytes."""
    uploads = context(request).uploads
    upload = uploads.get(repository(request), request.match_info["uuid"])
    async with upload.lock:
        uploads.end(upload)
        upload.discard()
    return web.Response(status=204)


async def _complete(request: web.Request, target: Repository, upload: Upload) -> web.Response:
    digest = checked_digest(request.query.get("digest", ""))
    _check_range(request, target, upload)
    await upload.append(request.content.iter_any())
    parts = context(request)
    parts.uploads.end(upload)
    await asyncio.to_thread(upload.commit, parts.storage, digest)
    target.link_blob(digest)
    return _created(target, digest)


def _mount(request: web.Request, target: Repository, digest: Digest) -> bool:
    source_name = request.query.get("from")
    if source_name is None:
        return False
    source = context(request).storage.repository(source_name)
    try:
        authorize(request, Wish(source.name, "pull"))
    except RefusedError:
        return False  # the spec: fall back to an upload
    if not source.has_blob(digest):
        return False
    target.link_blob(digest)
    return True


def _check_range(request: web.Request, target: Repository, upload: Upload) -> None:
    text = request.headers.get("Content-Range")
    if text is None:
        return
    found = _CONTENT_RANGE.fullmatch(text)
    start, end = (int(found[1]), int(found[2])) if found else (-1, -1)
    if start != upload.offset or end < start:
        raise RefusedError(errors.RANGE_INVALID, {"offset": upload.offset}, _headers(target, upload))
    if request.content_length not in (None, end - start + 1):
        raise RefusedError(errors.SIZE_INVALID, {"range": text}, _headers(target, upload))


def _headers(target: Repository, upload: Upload) -> dict[str, str]:
    return {
        "Location": f"/v2/{target.name}/blobs/uploads/{upload.ident}",
        "Range": f"0-{max(upload.offset - 1, 0)}",
        "Docker-Upload-UUID": upload.ident,
    }


def _status(target: Repository, upload: Upload, status: int) -> web.Response:
    return web.Response(status=status, headers=_headers(target, upload))


def _created(target: Repository, digest: Digest) -> web.Response:
    headers = {"Location": f"/v2/{target.name}/blobs/{digest}", "Docker-Content-Digest": digest}
    return web.Response(status=201, headers=headers)
