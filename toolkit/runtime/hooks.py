"""Hooks: programs that a config wants run at moments of a container's life, with its state on their stdin.

Used by init too, after it has shut itself in: nothing is imported while one runs.

See Also:
    runtime-spec config.md, POSIX-platform Hooks
"""

import errno
import os
import select
import time

from toolkit.core import document
from toolkit.core.errors import StartError
from toolkit.core.record import NamedTuple
from toolkit.linux import process, signals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_CHUNK = 64 * 1024
_MAX_OUTPUT = 64 * 1024
"""Bytes of what a hook prints that are kept for the message."""
_LEFT_IGNORED_BY_PYTHON = (signals.SIGPIPE, signals.SIGXFSZ)


class Hook(NamedTuple):
    """One program to run."""

    path: str
    args: tuple[str, ...] = ()
    """With argv[0]; empty: the path alone."""
    env: tuple[str, ...] | None = None
    """None: what the caller has."""
    timeout_s: int = 0
    """0: as long as it takes."""


def of_config(entries: "list[dict[str, Any]]") -> tuple[Hook, ...]:
    """Return the hooks of one kind, as `config["hooks"][kind]` lists them; trusted."""
    return tuple(
        Hook(
            entry["path"],
            tuple(entry.get("args") or ()),
            tuple(entry["env"]) if entry.get("env") else None,
            entry.get("timeout") or 0,
        )
        for entry in entries
    )


def run_all(kind: str, hooks: tuple[Hook, ...], state: "dict[str, Any]") -> None:
    """Run hooks one after the other.

    Raises:
        StartError: one could not be run, returned another code than 0, or took too long (and was killed).
    """
    text = document.encode(state)
    for number, hook in enumerate(hooks):
        _run(f"error running {kind} hook #{number}", hook, text)


def _run(what: str, hook: Hook, state: bytes) -> None:
    read_in, write_in = os.pipe()
    read_out, write_out = os.pipe()
    try:
        pid = _spawn(hook, read_in, write_out)
    except OSError as exc:
        for fd in (write_in, read_out):
            os.close(fd)
        reason = os.strerror(exc.errno or errno.EIO).lower()
        raise StartError(f"{what}: {hook.path}: {reason}", hint="check its path and mode") from exc
    finally:
        os.close(read_in)
        os.close(write_out)
    deadline = time.monotonic() + hook.timeout_s if hook.timeout_s else None
    try:
        output, in_time = _serve(process.pidfd_open(pid), write_in, read_out, state, deadline)
        if not in_time:
            os.kill(pid, signals.SIGKILL)
    finally:
        os.close(read_out)
        status = os.waitpid(pid, 0)[1]
    if not in_time:
        raise StartError(f"{what}: {hook.path}: hook ran past specified timeout of {float(hook.timeout_s)}s")
    code = os.waitstatus_to_exitcode(status)
    if code:
        how = f"exit status {code}" if code > 0 else f"killed by {signals.name(-code)}"
        raise StartError(f"{what}: {hook.path}: {how}, output: {' '.join(output.decode(errors='replace').split())}")


def _spawn(hook: Hook, stdin: int, output: int) -> int:
    return os.posix_spawn(
        hook.path,
        hook.args or (hook.path,),
        os.environ if hook.env is None else {pair.partition("=")[0]: pair.partition("=")[2] for pair in hook.env},
        file_actions=[
            (os.POSIX_SPAWN_DUP2, stdin, 0),
            (os.POSIX_SPAWN_DUP2, output, 1),
            (os.POSIX_SPAWN_DUP2, output, 2),
        ],
        setsigdef=_LEFT_IGNORED_BY_PYTHON,
        setsigmask=(),
    )


def _serve(pidfd: int, write_in: int, read_out: int, state: bytes, deadline: float | None) -> tuple[bytes, bool]:
    """Feed a hook and listen to it until it has ended; return what it said, and whether it ended before `deadline`."""
    output = bytearray()
    poll = select.poll()
    poll.register(pidfd, select.POLLIN)
    poll.register(read_out, select.POLLIN)
    poll.register(write_in, select.POLLOUT)
    os.set_blocking(write_in, False)
    try:
        while True:
            left_ms = None if deadline is None else max(0, int((deadline - time.monotonic()) * 1000))
            ready = dict(poll.poll(left_ms))
            if not ready:
                return bytes(output), False
            if write_in in ready:
                state = _write_some(write_in, state)
                if not state:
                    poll.unregister(write_in)
                    os.close(write_in)
                    write_in = -1
            if read_out in ready:
                data = os.read(read_out, _CHUNK)
                output += data[: _MAX_OUTPUT - len(output)]
                if not data:
                    poll.unregister(read_out)
            elif pidfd in ready:
                return bytes(output), True
    finally:
        os.close(pidfd)
        if write_in >= 0:
            os.close(write_in)


def _write_some(fd: int, data: bytes) -> bytes:
    """Return what is still to be written; nothing if nobody reads."""
    try:
        return data[os.write(fd, data) :]
    except BrokenPipeError:
        return b""
