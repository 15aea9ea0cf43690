"""The server's table of routes, and what happens around each handler.

A request is authorized by its route's table entry before the handler sees it;
whatever goes wrong becomes an answer in the spec's JSON form.
"""

import errno
from typing import NamedTuple

from aiohttp import web
from aiohttp.http_exceptions import BadHttpMessage

from toolkit.registry.server import blobs, errors, manifests
from toolkit.registry.server.access import Policy, TokenPolicy, Wish
from toolkit.registry.server.context import CONTEXT, TOKEN_PATH, Context, authorize, context
from toolkit.registry.server.errors import RefusedError, error_response
from toolkit.registry.server.storage import Storage
from toolkit.registry.server.uploads import Uploads

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    type_handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

_VERSION = {"Docker-Distribution-API-Version": "registry/2.0", "X-Content-Type-Options": "nosniff"}
_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})


class _Route(NamedTuple):
    method: str
    path: str
    action: str
    handler: "type_handler"


async def _base(_request: web.Request) -> web.StreamResponse:
    return web.json_response({})


async def _token(request: web.Request) -> web.StreamResponse:
    policy = context(request).policy
    if not isinstance(policy, TokenPolicy):
        raise web.HTTPNotFound
    scopes = request.query.getall("scope", [])
    authorization = request.headers.get("Authorization", "")
    return web.json_response(policy.grant(authorization, scopes), headers={"Cache-Control": "no-store"})


# The first route that fits wins; {name} is greedy, since names contain slashes.
_ROUTES = (
    _Route("GET", "/v2/", "", _base),
    _Route("GET", "/v2/_catalog", "*", manifests.list_repositories),
    _Route("POST", "/v2/{name:.+}/blobs/uploads/", "push", blobs.start_upload),
    _Route("GET", "/v2/{name:.+}/blobs/uploads/{uuid}", "push", blobs.upload_status),
    _Route("PATCH", "/v2/{name:.+}/blobs/uploads/{uuid}", "push", blobs.append_chunk),
    _Route("PUT", "/v2/{name:.+}/blobs/uploads/{uuid}", "push", blobs.end_upload),
    _Route("DELETE", "/v2/{name:.+}/blobs/uploads/{uuid}", "push", blobs.cancel_upload),
    _Route("GET", "/v2/{name:.+}/blobs/{digest}", "pull", blobs.get_blob),
    _Route("DELETE", "/v2/{name:.+}/blobs/{digest}", "delete", blobs.delete_blob),
    _Route("GET", "/v2/{name:.+}/manifests/{reference}", "pull", manifests.get_manifest),
    _Route("PUT", "/v2/{name:.+}/manifests/{reference}", "push", manifests.put_manifest),
    _Route("DELETE", "/v2/{name:.+}/manifests/{reference}", "delete", manifests.delete_manifest),
    _Route("GET", "/v2/{name:.+}/tags/list", "pull", manifests.list_tags),
    _Route("GET", "/v2/{name:.+}/referrers/{digest}", "pull", manifests.list_referrers),
)


def build_app(storage: Storage, policy: Policy, *, is_read_only: bool = False) -> web.Application:
    """Return the application that serves `storage` under `policy`."""
    app = web.Application(middlewares=[_answer_errors])
    app[CONTEXT] = Context(storage, Uploads(storage), policy, is_read_only)
    for route in _ROUTES:
        app.router.add_route(route.method, route.path, _guarded(route))
        if route.method == "GET":
            app.router.add_route("HEAD", route.path, _guarded(route))
    app.router.add_get(TOKEN_PATH, _token)
    app.on_response_prepare.append(_add_version)
    app[CONTEXT].uploads.expire()
    return app


def _guarded(route: _Route) -> "type_handler":
    async def handle(request: web.Request) -> web.StreamResponse:
        authorize(request, Wish(request.match_info.get("name", ""), route.action))
        if route.action in ("push", "delete") and context(request).is_read_only:
            raise RefusedError(errors.UNSUPPORTED, {"reason": "this registry is read-only"})
        return await route.handler(request)

    return handle


@web.middleware
async def _answer_errors(request: web.Request, handler: "type_handler") -> web.StreamResponse:
    try:
        return await handler(request)
    except RefusedError as exc:
        return exc.response()
    except web.HTTPMethodNotAllowed as exc:
        return error_response(errors.UNSUPPORTED, headers={"Allow": ",".join(sorted(exc.allowed_methods))})
    except web.HTTPNotFound:
        return error_response(errors.NAME_UNKNOWN._replace(message="no such page"))
    except (ConnectionError, web.RequestPayloadError, BadHttpMessage):
        return error_response(errors.BODY_BROKEN, headers={"Connection": "close"})
    except OSError as exc:
        if exc.errno not in _FULL:
            raise
        return error_response(errors.STORAGE_FULL)


async def _add_version(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(_VERSION)
