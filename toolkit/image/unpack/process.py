"""Running the workers: one process a layer, a few at a time, ended if the caller is interrupted."""

import os
import sys
import threading
from typing import NamedTuple

from toolkit.core import errors
from toolkit.core.digest import Digest, split_digest
from toolkit.core.errors import CorruptLayerError, DigestMismatchError, EngineError, UnsafePathError
from toolkit.core.ids import short_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from toolkit.image.layers import LayerProgress, LayerRequest
    from toolkit.image.unpack.limits import Limits

_WORKERS_MAX = 4
_SIGKILL = 9
_CURES: "dict[type[EngineError], str]" = {
    CorruptLayerError: "the image is damaged: have it built and pushed again",
    UnsafePathError: "the image is forged, or made by a broken program: do not use it",
}


class Unpacked(NamedTuple):
    """What a worker reported at its end."""

    entries: int
    size: int
    has_root: bool
    ignored_xattrs: int


class Workers:
    """Worker processes for the blobs of one call, each watched by a thread."""

    def __init__(self, limits: "Limits", progress: "Callable[[LayerProgress], None] | None") -> None:
        self._results: dict[Digest, Unpacked] = {}
        self._failure: BaseException | None = None
        self._limits = limits
        self._progress = progress
        self._lock = threading.Lock()
        self._waiting: list[tuple[int, LayerRequest, str]] = []
        self._threads: list[threading.Thread] = []
        self._idle = min(os.cpu_count() or 1, _WORKERS_MAX)
        self._pids: set[int] = set()
        self._stopped = False

    def add(self, request: "LayerRequest", directory: str) -> None:
        """Unpack a blob into `diff` below a directory, as soon as a processor is free; the largest first.

        Raises:
            EngineError: one that was added before went wrong.
        """
        with self._lock:
            if self._failure is not None:
                raise self._failure
            self._waiting.append((os.stat(request.blob_path).st_size, request, directory))
            if not self._idle or self._stopped:
                return
            self._idle -= 1
            thread = threading.Thread(target=self._work, name="unpack")
            self._threads.append(thread)
            thread.start()

    def finish(self) -> "dict[Digest, Unpacked]":
        """Wait for all workers; return what they reported.

        Raises:
            EngineError: the first that went wrong; the others are given up.
        """
        for thread in self._threads:
            thread.join()
        if self._failure is not None:
            raise self._failure
        return self._results

    def stop(self) -> None:
        """Kill the workers that are left, and wait for their ends."""
        self._kill()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        """Unpack what waits until there is nothing."""
        while (item := self._next()) is not None:
            _, request, directory = item
            try:
                result = self._unpack(request, directory)
            except BaseException as exc:  # noqa: BLE001 - it is raised again, in the thread that asked
                with self._lock:
                    self._failure = self._failure or exc
                self._kill()
                return
            with self._lock:
                self._results[request.diff_id] = result

    def _next(self) -> "tuple[int, LayerRequest, str] | None":
        with self._lock:
            if self._stopped or not self._waiting:
                self._idle += 1
                return None
            largest = max(self._waiting, key=lambda item: item[0])
            self._waiting.remove(largest)
            return largest

    def _kill(self) -> None:
        with self._lock:
            self._stopped = True
            for pid in self._pids:
                os.kill(pid, _SIGKILL)

    def _unpack(self, request: "LayerRequest", directory: str) -> Unpacked:
        target = os.path.join(directory, "diff")
        os.mkdir(target, 0o755)
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            pid = self._spawn(request, target, writer)
        except BaseException:
            os.close(reader)
            raise
        finally:
            os.close(writer)
        try:
            last = self._follow(request, reader)
        finally:
            os.close(reader)
            status = self._reap(pid)
        return _judge(request, last, status)

    def _spawn(self, request: "LayerRequest", target: str, writer: int) -> int:
        algorithm = split_digest(request.diff_id)[0]
        argv = [*_interpreter(), request.blob_path, target, algorithm, *map(str, self._limits)]
        actions = [
            (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
            (os.POSIX_SPAWN_DUP2, writer, 1),
            (os.POSIX_SPAWN_DUP2, writer, 2),
        ]
        with self._lock:
            if self._stopped:
                raise EngineError("unpacking was given up")
            # Its own process group: ctrl-C in a terminal interrupts this process, which then ends the worker.
            pid = os.posix_spawn(argv[0], argv, {}, file_actions=actions, setpgroup=0)
            self._pids.add(pid)
        return pid

    def _reap(self, pid: int) -> int:
        # Not waited for while the lock is held: stop() must be able to kill it.  It is no stranger's
        # process id before it is reaped, and it is out of the set before it is.
        os.waitid(os.P_PID, pid, os.WEXITED | os.WNOWAIT)
        with self._lock:
            self._pids.discard(pid)
        return os.waitpid(pid, 0)[1]

    def _follow(self, request: "LayerRequest", reader: int) -> str:
        """Hand on the progress that a worker reports; return its last words."""
        from toolkit.image.layers import LayerProgress

        total = os.stat(request.blob_path).st_size
        last: list[str] = []
        with open(reader, encoding="utf-8", errors="replace", closefd=False) as lines:
            for line in lines:
                word, _, rest = line.rstrip("\n").partition(" ")
                if word != "taken":
                    last.append(line.rstrip("\n"))
                elif self._progress is not None:
                    self._progress(LayerProgress(request.diff_id, int(rest), total))
        return last[-1] if last else ""


def _interpreter() -> list[str]:
    """Return how to start a worker: isolated, without site, with just the paths that it needs."""
    here = os.path.dirname(os.path.abspath(__file__))
    roots = [os.path.dirname(os.path.dirname(os.path.dirname(here))), *_library_roots()]
    code = f"import sys; sys.path[:0] = {roots!r}; from toolkit.image.unpack.worker import main; main()"
    return [sys.executable, "-I", "-S", "-c", code]


def _library_roots() -> list[str]:
    """Return where the decompressors are installed."""
    from importlib.util import find_spec

    found: list[str] = []
    for name in ("isal", "zstandard"):
        spec = find_spec(name)
        if spec is not None and spec.origin is not None:
            root = os.path.dirname(os.path.dirname(spec.origin))
            if root not in found:
                found.append(root)
    return found


def _judge(request: "LayerRequest", last: str, status: int) -> Unpacked:
    """Return what a worker reported, or raise what it failed with."""
    word, _, rest = last.partition(" ")
    if word == "done" and status == 0:
        digits, *counts = rest.split(" ")
        expected = split_digest(request.diff_id)[1]
        if digits != expected:
            raise DigestMismatchError(
                f"layer {short_id(request.diff_id)} unpacks to bytes with the digest {digits}, not {expected}",
                hint="the image is damaged or forged",
            )
        entries, size, has_root, ignored = map(int, counts)
        return Unpacked(entries, size, bool(has_root), ignored)
    if word == "failed":
        name, message, hint = rest.split(" ")
        kind: type[EngineError] = getattr(errors, name)
        cure = _unhex(hint) or _CURES.get(kind, "")
        raise kind(f"layer {short_id(request.diff_id)}: {_unhex(message)}", hint=cure)
    code = os.waitstatus_to_exitcode(status)
    why = f"was killed by signal {-code}" if code < 0 else f"ended with status {code}: {last}"
    raise EngineError(f"layer {short_id(request.diff_id)}: the process that unpacks it {why}", hint="try again")


def _unhex(text: str) -> str:
    return bytes.fromhex(text[1:]).decode()
