"""What went wrong on the way to a registry, said so that a user can cure it.

Two sources: the connection (urllib3's exceptions) and the registry's own
answer (an HTTP status with the spec's JSON errors).  Whatever text a server
sends is untrusted: it is cut short and cleaned of control characters before
it may reach a terminal.
"""

import errno
import json
import re
from typing import Any, cast

from toolkit.core.errors import EngineError, NotFoundError, RegistryError, UnauthorizedError, UnreachableError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from urllib3.exceptions import HTTPError

_MAX_TEXT = 300
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")
_LOGIN_HINT = "check the name, or give credentials (--creds USER:PASSWORD, or docker login)"
_NOT_TLS = re.compile(r"WRONG_VERSION_NUMBER|RECORD_LAYER_FAILURE|UNKNOWN_PROTOCOL|HTTP_REQUEST|PACKET_LENGTH_TOO_LONG")


class PassingError(RegistryError):
    """Another attempt may do better; never shown as such.

    Args:
        message, hint: as for every EngineError.
        wait_s: how long the registry asks to wait before that.
    """

    def __init__(self, message: str, *, hint: str = "", wait_s: float = 0.0) -> None:
        super().__init__(message, hint=hint)
        self.wait_s = wait_s


class BrokenError(UnreachableError, PassingError):
    """The connection broke."""


class StoppedError(RegistryError):
    """The transfer was stopped from our side; never shown, the cause is raised instead."""


def errno_of(exc: "HTTPError") -> int:
    """Return the errno that fits best, for the event of a failed exchange."""
    from urllib3 import exceptions

    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, OSError) and isinstance(cause.errno, int) and cause.errno in errno.errorcode:
            return cause.errno
        reason = getattr(cause, "reason", None)
        cause = reason if isinstance(reason, BaseException) else cause.__cause__ or cause.__context__
    if isinstance(exc, exceptions.NameResolutionError):
        return errno.EHOSTUNREACH
    return errno.ETIMEDOUT if isinstance(exc, exceptions.TimeoutError) else errno.EPROTO


def unreachable(host: str, exc: "HTTPError") -> UnreachableError:
    """Say why `host` did not answer."""
    from urllib3 import exceptions

    if isinstance(exc, exceptions.SSLError):
        return _tls_failure(host, str(exc))
    if isinstance(exc, exceptions.ProxyError):
        text, hint = f"the proxy on the way to {host} does not answer", "check HTTPS_PROXY and NO_PROXY"
    elif isinstance(exc, exceptions.NameResolutionError):
        text, hint = f"cannot find registry {host}: its name does not resolve", "check the name and the network"
    elif isinstance(exc, exceptions.NewConnectionError):
        text, hint = _no_connection(host, errno_of(exc))
    elif isinstance(exc, exceptions.ConnectTimeoutError):
        text = f"registry {host} does not answer: connection timed out"
        hint = "check the network, firewall and proxy"
    elif isinstance(exc, exceptions.LocationValueError):
        text, hint = f"registry {host} cannot be reached: invalid address", "check the name"
    else:
        verb = "stopped answering" if isinstance(exc, exceptions.TimeoutError) else "broke the connection"
        return BrokenError(f"registry {host} {verb}", hint="try again: what is already here is not fetched twice")
    return UnreachableError(text, hint=hint)


def _no_connection(host: str, number: int) -> tuple[str, str]:
    if number == errno.ECONNREFUSED:
        return f"registry {host} refuses connections", "check the port, and that it is running"
    return f"registry {host} cannot be reached: {errno.errorcode.get(number, 'error')}", "check the network"


def _tls_failure(host: str, text: str) -> UnreachableError:
    if _NOT_TLS.search(text):
        return UnreachableError(f"registry {host} does not speak TLS", hint="if that is meant to be, use --insecure")
    if "CERTIFICATE_VERIFY_FAILED" in text:
        found = re.search(r"certificate verify failed: ([^()]*)", text)
        reason = clean(found[1]) if found else "verification failed"
        return UnreachableError(
            f"the TLS certificate of registry {host} is not trusted: {reason}",
            hint=f"put its CA into /etc/docker/certs.d/{host}/ca.crt, or use --insecure",
        )
    if "EOF" in text or "reset" in text:
        return BrokenError(f"registry {host} broke the connection during the TLS handshake", hint="try again")
    return UnreachableError(f"TLS to registry {host} failed: {clean(text)}", hint="check the registry's TLS set-up")


def refusal(
    host: str, status: int, body: bytes, name: str, *, action: str = "pull", has_credentials: bool = False
) -> EngineError:
    """Say why `host` answered `status` when asked for `name`, with the cure.

    Args:
        host: the registry.
        status: the HTTP status.
        body: the answer's body, the spec's JSON or anything else.
        name: what was asked for, as the user wrote it: "ubuntu:latest".
        action: "pull" or "push".
        has_credentials: whether the request carried credentials of the user.
    """
    code, message = parse_errors(body)
    said = f": {message}" if message else ""
    repository = name.partition("@")[0]
    if status == 401 and has_credentials:
        return UnauthorizedError(f"registry {host} refuses the credentials for {repository}{said}", hint=_LOGIN_HINT)
    if status in (401, 403):
        text = f"{action} access denied for {repository}, repository does not exist or may require login{said}"
        return UnauthorizedError(text, hint=_LOGIN_HINT)
    if status == 404:
        what = {"NAME_UNKNOWN": f"repository of {name}", "MANIFEST_UNKNOWN": f"manifest for {name}"}.get(code, name)
        return NotFoundError(f"{what} not found on {host}{said}", hint="check the name and the tag")
    if status == 429:
        text, hint = f"registry {host} allows no more requests now{said}", "wait a while, or log in"
    elif status >= 500:
        text, hint = f"registry {host} failed with status {status}{said}", "try again later"
    else:
        text = f"registry {host} answered with status {status} for {name}{said}"
        hint = "check that this is a registry"
    return RegistryError(text, hint=hint)


def parse_errors(body: bytes) -> tuple[str, str]:
    """Return code and message of the first of the spec's errors; empty where there is none."""
    try:
        first: object = json.loads(body)["errors"][0]
    except (ValueError, LookupError, TypeError, RecursionError):
        return "", ""
    if not isinstance(first, dict):
        return "", ""
    fields = cast("dict[str, Any]", first)
    return clean(str(fields.get("code", ""))), clean(str(fields.get("message", "")))


def clean(text: str) -> str:
    """Make a server's text fit for one line on a terminal."""
    flat = _CONTROL.sub(" ", text).strip()
    return flat if len(flat) <= _MAX_TEXT else flat[:_MAX_TEXT] + "..."
