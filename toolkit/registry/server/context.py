"""What every handler needs: the storage, the uploads, the policy, and how to get at them."""

from dataclasses import dataclass

from aiohttp import web

from toolkit.registry.server.access import Policy, Wish
from toolkit.registry.server.storage import Repository, Storage
from toolkit.registry.server.uploads import Uploads

TOKEN_PATH = "/token"  # noqa: S105 - a path, no secret


@dataclass(frozen=True, slots=True)
class Context:
    """One server's parts."""

    storage: Storage
    uploads: Uploads
    policy: Policy
    is_read_only: bool


CONTEXT = web.AppKey("context", Context)


def context(request: web.Request) -> Context:
    """Return the parts of the server that got this request."""
    return request.app[CONTEXT]


def repository(request: web.Request) -> Repository:
    """Return the repository that the path names.

    Raises:
        RefusedError: NAME_INVALID.
    """
    return context(request).storage.repository(request.match_info["name"])


def authorize(request: web.Request, *wishes: Wish) -> None:
    """Hold a request against the server's policy.

    Raises:
        RefusedError: UNAUTHORIZED or DENIED.
    """
    realm = f"{request.scheme}://{request.host}{TOKEN_PATH}"
    context(request).policy.check(request.headers.get("Authorization", ""), wishes, realm)
