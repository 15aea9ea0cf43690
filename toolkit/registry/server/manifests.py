"""Manifests, tags and referrers (distribution spec, "Pulling/Pushing Manifests", "Listing Referrers")."""

import json
from typing import Any

from aiohttp import web

from toolkit.core.digest import Digest, digest_of
from toolkit.registry.server import errors
from toolkit.registry.server.context import context, repository
from toolkit.registry.server.document import MAX_BYTES, OCI_INDEX, Document, parse_document
from toolkit.registry.server.errors import RefusedError
from toolkit.registry.server.paging import page
from toolkit.registry.server.storage import Repository, checked_digest


async def get_manifest(request: web.Request) -> web.Response:
    """Send a manifest as it was pushed; HEAD sends its headers alone."""
    found = repository(request).manifest(request.match_info["reference"])
    headers = {"Docker-Content-Digest": found.digest, "ETag": f'"{found.digest}"', "Content-Type": found.media_type}
    if request.headers.get("If-None-Match") == headers["ETag"]:
        return web.Response(status=304, headers=headers)
    return web.Response(body=found.content, headers=headers)


async def put_manifest(request: web.Request) -> web.Response:
    """Store a manifest whose parts are all here, under its digest and perhaps a tag."""
    target = repository(request)
    reference = request.match_info["reference"]
    content = await _read(request)
    document = parse_document(content, request.headers.get("Content-Type", ""))
    digest = checked_digest(reference, content) if ":" in reference else digest_of(content)
    _check_parts(target, document)
    target.put_manifest(content, document.media_type, digest, document.subject)
    if ":" not in reference:
        target.put_tag(reference, digest)
    headers = {"Location": f"/v2/{target.name}/manifests/{digest}", "Docker-Content-Digest": digest}
    if document.subject is not None:
        headers["OCI-Subject"] = document.subject
    return web.Response(status=201, headers=headers)


async def delete_manifest(request: web.Request) -> web.Response:
    """Forget a tag, or a manifest with all its tags."""
    target = repository(request)
    reference = request.match_info["reference"]
    if ":" not in reference:
        if not target.delete_tag(reference):
            raise RefusedError(errors.MANIFEST_UNKNOWN, {"tag": reference})
        return web.Response(status=202)
    found = target.manifest(reference)
    target.delete_manifest(found.digest, parse_document(found.content, found.media_type).subject)
    return web.Response(status=202)


async def list_tags(request: web.Request) -> web.Response:
    """Send the tags of a repository, a page of them if `n` is given."""
    target = repository(request)
    if not target.exists():
        raise RefusedError(errors.NAME_UNKNOWN, {"name": target.name})
    tags, headers = page(target.tags(), request.query, request.path)
    return web.json_response({"name": target.name, "tags": tags}, headers=headers)


async def list_repositories(request: web.Request) -> web.Response:
    """Send the names of the repositories that have a manifest (docker's _catalog)."""
    names, headers = page(context(request).storage.repositories(), request.query, request.path)
    return web.json_response({"repositories": names}, headers=headers)


async def list_referrers(request: web.Request) -> web.Response:
    """Send an index of the manifests whose subject is this digest; empty where there is none."""
    target = repository(request)
    subject = checked_digest(request.match_info["digest"])
    wanted = request.query.get("artifactType")
    entries = [_descriptor(target, digest) for digest in target.referrers(subject)]
    headers: dict[str, str] = {}
    if wanted:
        entries = [entry for entry in entries if entry.get("artifactType") == wanted]
        headers["OCI-Filters-Applied"] = "artifactType"
    index = {"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries}
    return web.Response(body=json.dumps(index).encode(), content_type=OCI_INDEX, headers=headers)


def _descriptor(target: Repository, digest: Digest) -> dict[str, Any]:
    found = target.manifest(digest)
    document = parse_document(found.content, found.media_type)
    entry: dict[str, Any] = {"mediaType": found.media_type, "digest": digest, "size": len(found.content)}
    if document.artifact_type:
        entry["artifactType"] = document.artifact_type
    if document.annotations:
        entry["annotations"] = document.annotations
    return entry


async def _read(request: web.Request) -> bytes:
    content = bytearray()
    async for chunk in request.content.iter_any():
        content += chunk
        if len(content) > MAX_BYTES:
            raise RefusedError(errors.MANIFEST_TOO_LARGE, {"max_bytes": MAX_BYTES}, {"Connection": "close"})
    return bytes(content)


def _check_parts(target: Repository, document: Document) -> None:
    for digest in document.blobs:
        if not target.has_blob(digest):
            raise RefusedError(errors.MANIFEST_BLOB_UNKNOWN, {"digest": digest})
    for digest in document.manifests:
        if not target.has_manifest(digest):
            raise RefusedError(errors.MANIFEST_BLOB_UNKNOWN, {"digest": digest})
