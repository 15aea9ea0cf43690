"""One registry, talked to with patience: the right scheme, authorization, redirects, retries.

The decisions that `transport` does not make.  A request is tried again after a
broken connection and after the statuses that say "later" (429, 5xx); it is
authorized again, once, after a 401; a redirect to another host is followed
without the Authorization header.
"""

import email.utils
import io
import random
import threading
import time
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from toolkit.core.errors import RegistryError, UnreachableError
from toolkit.registry.auth import Authorizer
from toolkit.registry.challenge import parse_challenges
from toolkit.registry.failure import BrokenError, PassingError, refusal
from toolkit.registry.transport import Timeouts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from toolkit.registry.auth import Access
    from toolkit.registry.credentials import Credentials
    from toolkit.registry.endpoint import Endpoint
    from toolkit.registry.transport import Response, Transport

_LATER = frozenset({408, 429, 500, 502, 503, 504})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_MAX_REDIRECTS = 10
# A server of plain http may wait for the end of a line that a TLS handshake does not have.
_PROBE = Timeouts(connect_s=2.0, read_s=5.0)
_MAX_TOKEN_BYTES = 1 << 20


class Patience(NamedTuple):
    """How often and how long to try."""

    attempts: int = 5
    """In a row without any progress."""
    first_s: float = 0.25
    """Pause after the first failure; it doubles each time."""
    longest_s: float = 60.0
    """The longest pause that a registry may ask for (Retry-After)."""


class Attempts:
    """Counts the failures of one piece of work and waits between them."""

    def __init__(self, patience: Patience, transport: "Transport") -> None:
        """Start with none; pauses end early when `transport` is stopped."""
        self._patience = patience
        self._transport = transport
        self._count = 0

    def failed(self, error: PassingError) -> None:
        """Wait before the next attempt, or raise `error` if there is none left."""
        self._count += 1
        if self._count >= self._patience.attempts or error.wait_s > self._patience.longest_s:
            raise error
        pause_s: float = self._patience.first_s * 2 ** (self._count - 1)
        jitter = 1 + random.random() / 4  # noqa: S311 - spreads clients, no secret
        self._transport.sleep(max(pause_s * jitter, error.wait_s))

    def succeeded(self) -> None:
        """Forget the failures: the work has moved on."""
        self._count = 0


class Registry:
    """A registry or a mirror, with its connections and what is known about its authorization."""

    def __init__(
        self,
        endpoint: "Endpoint",
        transport: "Transport",
        credentials: "Credentials | None" = None,
        patience: "Patience | None" = None,
    ) -> None:
        """Connect to nothing yet."""
        self.endpoint = endpoint
        self.transport = transport
        self.authorizer = Authorizer(credentials, self._fetch)
        self._patience = patience or Patience()
        self._base = f"{endpoint.schemes[0]}://{endpoint.host}" if len(endpoint.schemes) == 1 else ""
        self._probing = threading.Lock()

    @property
    def name(self) -> str:
        """The registry's name for messages."""
        return self.endpoint.name

    def attempts(self) -> Attempts:
        """Start to count the failures of a new piece of work."""
        return Attempts(self._patience, self.transport)

    def url(self, repository: str, tail: str) -> str:
        """Return the URL of something in a repository; finds the scheme on first use.

        Raises:
            UnreachableError: no scheme works.
        """
        prefix = f"{self.endpoint.prefix}/" if self.endpoint.prefix else ""
        return f"{self._find_base()}/v2/{prefix}{repository}/{tail}"

    def base_url(self) -> str:
        """Return the URL that says whether this is a registry, and whether it lets us in.

        Raises:
            UnreachableError: no scheme works.
        """
        return f"{self._find_base()}/v2/"

    def request(
        self,
        method: str,
        url: str,
        access: "Access",
        headers: "Mapping[str, str] | None" = None,
        body: "bytes | io.RawIOBase | None" = None,
        *,
        attempts: Attempts | None = None,
    ) -> "Response":
        """Send a request until there is an answer that another attempt would not change.

        Args:
            method: GET, HEAD, POST, PUT, PATCH or DELETE.
            url: from `url`, or a Location that the registry gave.
            access: what for.
            headers: besides those that every request has.
            body: sent again on each attempt; a file must be seekable.
            attempts: the failures of the larger work that this request belongs to.

        Returns:
            The answer, whose status the caller checks; never one of 408, 429 and 5xx.

        Raises:
            UnreachableError: no answer, after all attempts.
            UnauthorizedError: the token server refuses the credentials.
            RegistryError: "later", after all attempts.
        """
        attempts = attempts or self.attempts()
        while True:
            try:
                return self.request_once(method, url, access, headers, body)
            except PassingError as exc:
                attempts.failed(exc)

    def request_once(
        self,
        method: str,
        url: str,
        access: "Access",
        headers: "Mapping[str, str] | None" = None,
        body: "bytes | io.RawIOBase | None" = None,
    ) -> "Response":
        """Send a request as `request` does, but leave further attempts to the caller.

        Raises:
            PassingError: the connection broke, or the registry says "later".
        """
        response = self._authorized(method, url, access, headers or {}, body)
        if response.status not in _LATER:
            return response
        wait_s = _retry_after_s(response.headers.get("Retry-After", ""))
        reason = self.refusal(response, access)
        raise PassingError(reason.message, hint=reason.hint, wait_s=wait_s)

    def refusal(self, response: "Response", access: "Access") -> RegistryError:
        """Say why the registry answered as it did; closes the response.

        Raises:
            NotFoundError: as the answer of a 404.
        """
        body = response.excerpt() if response.method != "HEAD" else b""
        response.close()
        error = refusal(
            self.name,
            response.status,
            body,
            access.name,
            action=access.action,
            has_credentials=self.authorizer.credentials is not None,
        )
        if not isinstance(error, RegistryError):
            raise error
        return error

    def _authorized(
        self, method: str, url: str, access: "Access", headers: "Mapping[str, str]", body: "bytes | io.RawIOBase | None"
    ) -> "Response":
        is_ours = _origin(url) == _origin(self._find_base())
        header = self.authorizer.header(access) if is_ours else None
        response = self._follow(method, url, headers, header, body)
        if response.status != 401 or not is_ours or _origin(response.url) != _origin(url):
            return response
        challenges = parse_challenges(response.headers.getlist("WWW-Authenticate"))
        try:
            is_worth_it = self.authorizer.answer(challenges, access, header, url)
        except BaseException:
            response.close()
            raise
        if not is_worth_it:
            return response
        response.finish()
        if body is not None and not isinstance(body, bytes):
            body.seek(0)
        return self._follow(method, url, headers, self.authorizer.header(access), body)

    def _follow(
        self,
        method: str,
        url: str,
        headers: "Mapping[str, str]",
        authorization: str | None,
        body: "bytes | io.RawIOBase | None",
    ) -> "Response":
        origin = _origin(url)
        for _ in range(_MAX_REDIRECTS):
            sent = dict(headers)
            if authorization is not None and _origin(url) == origin:
                sent["Authorization"] = authorization
            verify = self.endpoint.verify or urlsplit(url).netloc != self.endpoint.host
            response = self.transport.exchange(method, url, sent, body, verify=verify)
            location = response.headers.get("Location")
            if response.status not in _REDIRECTS or method not in ("GET", "HEAD") or not location:
                return response
            response.finish()
            url = urljoin(url, location)
            if urlsplit(url).scheme not in ("http", "https"):
                raise RegistryError(f"registry {self.name} redirects to '{location[:80]}'", hint="tell its operator")
        raise RegistryError(f"registry {self.name} redirects in circles", hint="tell its operator")

    def _find_base(self) -> str:
        """Return scheme and host, trying the schemes on first use (as docker pings /v2/)."""
        with self._probing:
            if self._base:
                return self._base
            failure: UnreachableError | None = None
            for scheme in self.endpoint.schemes:
                base = f"{scheme}://{self.endpoint.host}"
                try:
                    response = self.transport.exchange("GET", f"{base}/v2/", {}, verify=False, timeouts=_PROBE)
                except UnreachableError as exc:
                    failure = exc
                    continue
                response.finish()
                self._base = base
                return base
            raise failure or UnreachableError(f"registry {self.name} has no scheme", hint="name it with one")

    def _fetch(self, method: str, url: str, headers: "Mapping[str, str]", body: bytes | None) -> tuple[int, bytes]:
        """Do one exchange with a token server, with patience."""
        attempts = self.attempts()
        while True:
            try:
                verify = self.endpoint.verify or urlsplit(url).netloc != self.endpoint.host
                response = self.transport.exchange(method, url, headers, body, verify=verify)
                wait_s = _retry_after_s(response.headers.get("Retry-After", ""))
                status, answer = response.status, response.body(_MAX_TOKEN_BYTES)
            except BrokenError as exc:
                attempts.failed(exc)
                continue
            if status not in _LATER:
                return status, answer
            text = f"token server {urlsplit(url).netloc} failed with status {status}"
            attempts.failed(PassingError(text, hint="try again later", wait_s=wait_s))


def _origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    return parts.scheme, parts.netloc.lower()


def _retry_after_s(text: str) -> float:
    """Read Retry-After: seconds, or a date (RFC 9110, section 10.2.3); 0 if neither."""
    if text.isascii() and text.isdigit():
        return float(text)
    try:
        moment = email.utils.parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    return max(0.0, moment.timestamp() - time.time())
