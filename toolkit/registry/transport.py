"""One HTTP exchange: a request, its answer, and the event that it leaves.

urllib3 does the protocol, the pools and TLS.  It is told to do nothing else:
no retries, no redirects, no decoding of bodies.  Those are decisions, and
they are made in `session`.
"""

import contextlib
import io
import os
import ssl
import threading
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit, urlunsplit

from toolkit.core.errors import RegistryError, SyscallError
from toolkit.registry.failure import StoppedError, errno_of, unreachable
from toolkit.trace import span

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import urllib3

_CHUNK_BYTES = 1 << 20
_CERTS_DIR = "/etc/docker/certs.d"
_PUBLIC_PARAMETERS = frozenset({"digest", "mount", "from", "n", "last", "service", "scope", "artifactType"})


class Timeouts(NamedTuple):
    """How long to wait for a peer that says nothing."""

    connect_s: float = 10.0
    read_s: float = 30.0


class Response:
    """An answer whose body has not been read yet; close it."""

    def __init__(self, method: str, url: str, raw: "urllib3.BaseHTTPResponse", transport: "Transport") -> None:
        """Wrap urllib3's response to `method` on `url`."""
        self.method = method
        self.url = url
        self.status = raw.status
        self.headers = raw.headers
        self._raw = raw
        self._transport = transport
        self._is_over = method == "HEAD"

    @property
    def host(self) -> str:
        """Host and port that answered."""
        return urlsplit(self.url).netloc

    @property
    def length(self) -> int | None:
        """Content-Length, if it was sent and is a number."""
        text = self.headers.get("Content-Length", "")
        return int(text) if text.isascii() and text.isdigit() else None

    def chunks(self) -> "Iterator[bytes]":
        """Yield the body as it comes; one event when it is over.

        Raises:
            BrokenError: the body ended early, or nothing came for too long.
            StoppedError: `Transport.stop` was called.
        """
        from urllib3.exceptions import HTTPError

        failure: HTTPError | None = None
        try:
            with span("http.body", f"read({public_url(self.url)})") as here:
                try:
                    while chunk := self._raw.read(_CHUNK_BYTES, decode_content=False):
                        here.result += len(chunk)
                        yield chunk
                    self._is_over = True
                except HTTPError as exc:
                    failure = exc
                    raise OSError(errno_of(exc), str(exc)) from exc
        except SyscallError as exc:
            self._transport.check()
            if failure is None:
                raise
            raise unreachable(self.host, failure) from exc
        finally:
            self.close()

    def body(self, max_bytes: int) -> bytes:
        """Read the whole body.

        Raises:
            RegistryError: it is larger than `max_bytes`.
            BrokenError: it ended early.
        """
        parts: list[bytes] = []
        size = 0
        for chunk in self.chunks():
            size += len(chunk)
            if size > max_bytes:
                raise RegistryError(
                    f"registry {self.host} sent more than {max_bytes} bytes where a short document was expected",
                    hint="check that this is a registry",
                )
            parts.append(chunk)
        return b"".join(parts)

    def excerpt(self, max_bytes: int = 65536) -> bytes:
        """Read the beginning of an error's body; whatever cannot be read is left out."""
        try:
            return self.body(max_bytes)
        except RegistryError:
            return b""

    def finish(self) -> None:
        """Give the connection back for the next request; a small body is read to its end for that."""
        if (self.length or 0) <= _CHUNK_BYTES and self.method != "HEAD":
            self.excerpt()
        self.close()

    def close(self) -> None:
        """Let go of the connection: back to its pool if the body is over, closed if not."""
        self._transport.forget(self)
        if self._is_over:
            self._raw.drain_conn()  # of nothing: but until it is read, http.client takes no other request
        else:
            self._raw.close()
        self._raw.release_conn()

    def shutdown(self) -> None:
        """Wake a thread that waits for the body."""
        with contextlib.suppress(ValueError, OSError, RuntimeError):  # it has just finished: nobody waits
            self._raw.shutdown()


class Transport:
    """The connections of one transfer, shared by its threads."""

    def __init__(self, timeouts: Timeouts | None = None, certs_dir: str = _CERTS_DIR) -> None:
        """Start without connections; `certs_dir` holds <host>/*.crt, as for docker."""
        self.timeouts = timeouts or Timeouts()
        self._certs_dir = certs_dir
        self._pools: dict[tuple[str, str, bool], urllib3.PoolManager] = {}
        self._live: set[Response] = set()
        self._lock = threading.Lock()
        self._stopped = threading.Event()

    def exchange(
        self,
        method: str,
        url: str,
        headers: "Mapping[str, str]",
        body: "bytes | io.RawIOBase | None" = None,
        *,
        verify: bool = True,
        timeouts: Timeouts | None = None,
    ) -> Response:
        """Send one request and wait for the head of its answer, whatever its status.

        Args:
            method: GET, HEAD, POST, PUT, PATCH or DELETE.
            url: absolute.
            headers: Authorization is sent, and never recorded.
            body: bytes, or a file together with a Content-Length header.
            verify: check the TLS certificate.
            timeouts: others than this transport's.

        Raises:
            UnreachableError: no answer.
            BrokenError: the connection broke; a retry may help.
            StoppedError: `stop` was called.
        """
        import urllib3
        from urllib3.exceptions import HTTPError

        self.check()
        failure: HTTPError | None = None
        patience = timeouts or self.timeouts
        timeout = urllib3.Timeout(connect=patience.connect_s, read=patience.read_s)
        try:
            with span(f"http.{method.lower()}", f"{method} {public_url(url)}") as here:
                try:
                    raw = self._pool(url, verify=verify).urlopen(
                        method,
                        url,
                        headers={"User-Agent": "container-toolkit", "Accept-Encoding": "identity", **headers},
                        body=body,
                        timeout=timeout,
                        retries=False,
                        redirect=False,
                        preload_content=False,
                        decode_content=False,
                    )
                except HTTPError as exc:
                    failure = exc
                    raise OSError(errno_of(exc), str(exc)) from exc
                here.returns(raw.status)
        except SyscallError as exc:
            self.check()
            if failure is None:
                raise
            raise unreachable(urlsplit(url).netloc, failure) from exc
        response = Response(method, url, raw, self)
        with self._lock:
            self._live.add(response)
        return response

    def stop(self) -> None:
        """End every exchange under way and refuse new ones; threads get StoppedError."""
        self._stopped.set()
        with self._lock:
            live = list(self._live)
        for response in live:
            response.shutdown()

    def check(self) -> None:
        """Raise StoppedError after `stop`."""
        if self._stopped.is_set():
            raise StoppedError("the transfer was stopped")

    def sleep(self, seconds: float) -> None:
        """Wait, unless `stop` is called meanwhile."""
        self._stopped.wait(seconds)
        self.check()

    def forget(self, response: Response) -> None:
        """Drop a response that is over."""
        with self._lock:
            self._live.discard(response)

    def close(self) -> None:
        """Close all idle connections."""
        for pool in self._pools.values():
            pool.clear()

    def _pool(self, url: str, *, verify: bool) -> "urllib3.PoolManager":
        scheme, host = urlsplit(url)[:2]
        with self._lock:
            pool = self._pools.get((scheme, host, verify))
            if pool is None:
                pool = self._pools[scheme, host, verify] = self._new_pool(scheme, host, verify=verify)
            return pool

    def _new_pool(self, scheme: str, host: str, *, verify: bool) -> "urllib3.PoolManager":
        import urllib3

        context = self._context(host, verify=verify) if scheme == "https" else None
        proxy = _proxy(scheme, host)
        if proxy is not None:
            secret = urlsplit(proxy)
            pair = f"{unquote(secret.username)}:{unquote(secret.password or '')}" if secret.username else None
            headers = urllib3.make_headers(proxy_basic_auth=pair) if pair else None
            return urllib3.ProxyManager(proxy, num_pools=1, maxsize=8, proxy_headers=headers, ssl_context=context)
        return urllib3.PoolManager(num_pools=1, maxsize=8, ssl_context=context)

    def _context(self, host: str, *, verify: bool) -> ssl.SSLContext:
        if not verify:
            import urllib3

            urllib3.disable_warnings(urllib3.exceptions.InsecureRequestWarning)  # it was decided: endpoint.py
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            return context
        context = ssl.create_default_context()
        directory = os.path.join(self._certs_dir, host)
        if os.path.isdir(directory):
            for name in sorted(os.listdir(directory)):
                if name.endswith(".crt"):
                    context.load_verify_locations(os.path.join(directory, name))
        return context


def public_url(url: str) -> str:
    """Return `url` without what may be secret: user, password, and signatures in its query."""
    parts = urlsplit(url)
    query = [(key, value if key in _PUBLIC_PARAMETERS else "...") for key, value in parse_qsl(parts.query)]
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, urlencode(query, safe=":/,."), ""))


def _proxy(scheme: str, host: str) -> str | None:
    """Return the proxy for `host`; loopback never has one (as in Go's net/http)."""
    from urllib.request import getproxies, proxy_bypass

    from toolkit.registry.endpoint import is_loopback

    if is_loopback(host) or proxy_bypass(host):
        return None
    found = getproxies().get(scheme)
    return found if not found or "://" in found else f"http://{found}"
