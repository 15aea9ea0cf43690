"""A registry server in one directory: the whole distribution specification, small enough to read.

`serve` runs until it is interrupted (`container registry serve`); `start` runs
one in a thread, for a notebook or a test.  aiohttp takes 280 ms to import, so
import this only to run a server.
"""

import asyncio
import errno
import logging
import ssl
import threading
from typing import Self

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from toolkit.core.errors import ConflictError, EngineError, PrivilegeError
from toolkit.registry.server.access import OpenPolicy, Policy
from toolkit.registry.server.app import build_app
from toolkit.registry.server.storage import Storage

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

DEFAULT_PORT = 5000
_STOP_TIMEOUT_S = 2.0


class Server:
    """A registry that runs in a thread of its own."""

    def __init__(
        self,
        root: str,
        host: str = "127.0.0.1",
        port: int = 0,
        *,
        policy: Policy | None = None,
        is_read_only: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Serve the directory `root`; see `serve` for the rest, and for what is raised."""
        self._app = build_app(Storage(root), policy or OpenPolicy(), is_read_only=is_read_only)
        self._host, self._port, self._tls = host, port, tls
        self._is_up = threading.Event()
        self._failure: EngineError | None = None
        self._loop = asyncio.new_event_loop()
        self._done = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="registry", daemon=True)
        self._thread.start()
        self._is_up.wait()
        if self._failure is not None:
            raise self._failure

    @property
    def address(self) -> str:
        """Host and port, as they stand in a reference."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{host}:{self._port}"

    def stop(self) -> None:
        """End the server; uploads under way can be resumed after a restart."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._done.set)
            self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _exc: BaseException | None, _tb: "TracebackType | None"
    ) -> None:
        self.stop()

    def _run(self) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(_serve(self._app, self._host, self._port, self._tls, self._ready, self._done))

    def _ready(self, port: int, failure: EngineError | None) -> None:
        self._port, self._failure = port, failure
        self._is_up.set()


def serve(
    root: str,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    *,
    policy: Policy | None = None,
    is_read_only: bool = False,
    tls: ssl.SSLContext | None = None,
    ready: "Callable[[int], None] | None" = None,
) -> None:
    """Serve the directory `root` as a registry until interrupted.

    Args:
        root: made where it does not exist.
        host: address to listen on.
        port: 0 takes a free one.
        policy: who may do what; None lets everybody do everything.
        is_read_only: refuse pushes and deletions.
        tls: certificate and key, for https.
        ready: called with the port as soon as clients can connect.

    Raises:
        ConflictError: the port is taken.
        PrivilegeError: this user may not listen on it.
    """
    failures: list[EngineError] = []

    def up(actual_port: int, failure: EngineError | None) -> None:
        if failure is not None:
            failures.append(failure)
        elif ready is not None:
            ready(actual_port)

    app = build_app(Storage(root), policy or OpenPolicy(), is_read_only=is_read_only)
    with asyncio.Runner() as runner:
        runner.run(_serve(app, host, port, tls, up, asyncio.Event()))
    if failures:
        raise failures[0]


async def _serve(
    app: web.Application,
    host: str,
    port: int,
    tls: ssl.SSLContext | None,
    ready: "Callable[[int, EngineError | None], None]",
    done: asyncio.Event,
) -> None:
    runner = web.AppRunner(app, access_log=None, logger=_quiet_logger(), shutdown_timeout=_STOP_TIMEOUT_S)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, ssl_context=tls)
        try:
            await site.start()
        except OSError as exc:
            ready(port, _cannot_listen(host, port, exc))
            return
        ready(int(runner.addresses[0][1]), None)
        await done.wait()
    finally:
        await runner.cleanup()


def _quiet_logger() -> logging.Logger:
    """Return a logger for the server's own faults: what is no HTTP is its client's, and is answered with 400."""
    logger = logging.getLogger(__name__)
    logger.addFilter(_is_our_fault)
    return logger


def _is_our_fault(record: logging.LogRecord) -> bool:
    return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))


def _cannot_listen(host: str, port: int, exc: OSError) -> EngineError:
    if exc.errno == errno.EADDRINUSE:
        return ConflictError(f"port {port} on {host} is already in use", hint="choose another with --port")
    if exc.errno == errno.EACCES:
        return PrivilegeError(f"not allowed to listen on port {port}", hint="choose one above 1023")
    return EngineError(f"cannot listen on {host}:{port}: {exc.strerror}", hint="check the address")
