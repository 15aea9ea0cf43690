"""Put an image into a registry with plain HTTP, as distribution's spec says; for tests and benchmarks."""

import hashlib
import http.client
import os
from urllib.parse import urlsplit


def push_blob(host: str, repository: str, content: "bytes | str", digest: str = "") -> str:
    """Upload one blob (bytes, or the path of a file) in one request; return its digest."""
    if isinstance(content, bytes):
        digest = digest or f"sha256:{hashlib.sha256(content).hexdigest()}"
        size = len(content)
    else:
        size = os.path.getsize(content)
    connection = http.client.HTTPConnection(host)
    connection.request("POST", f"/v2/{repository}/blobs/uploads/")
    started = _answer(connection, 202)
    parts = urlsplit(started["Location"])
    target = f"{parts.path}?{parts.query}&digest={digest}" if parts.query else f"{parts.path}?digest={digest}"
    headers = {"Content-Type": "application/octet-stream", "Content-Length": str(size)}
    if isinstance(content, bytes):
        connection.request("PUT", target, content, headers)
    else:
        with open(content, "rb") as file:
            connection.request("PUT", target, file, headers)
    _answer(connection, 201)
    connection.close()
    return digest


def push_manifest(host: str, repository: str, tag: str, content: bytes, media_type: str) -> str:
    """Upload a manifest under a tag; return its digest."""
    connection = http.client.HTTPConnection(host)
    connection.request("PUT", f"/v2/{repository}/manifests/{tag}", content, {"Content-Type": media_type})
    digest = _answer(connection, 201)["Docker-Content-Digest"]
    connection.close()
    return digest


def _answer(connection: http.client.HTTPConnection, expected: int) -> http.client.HTTPMessage:
    response = connection.getresponse()
    body = response.read()
    if response.status != expected:
        raise RuntimeError(f"the registry says {response.status}: {body[:300]!r}")
    return response.headers
