"""Ending a container and holding it: signals, stop, restart, pause; each as docker does it.

Whoever ends a container that has a restart policy first writes down that this
was asked for (see `meeting.ASKED_FILE`): its monitor reads that at the end, and
also while it waits to start the container again.

See Also:
    moby, daemon/kill.go, stop.go, restart.go, pause.go
"""

import errno
import os
import time

from toolkit.core.errors import ConflictError, NotFoundError
from toolkit.engine.signals import signal_number
from toolkit.engine.status import PAUSED, RESTARTING, Status, is_monitored
from toolkit.linux.signals import SIGKILL
from toolkit.runtime.meeting import ASKED_FILE, PAUSED_FILE, RESTART_FILE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.engine.container import Container

_STOP_TIMEOUT_S = 10
_POLL_S = 0.01
_GONE = (errno.ENOENT, errno.ENODEV)
"""What its files say when it has ended meanwhile and all is taken away."""
_NO_PLACE = "`container ps` shows those that run"


def kill(one: "Container", number: int) -> None:
    """Send a signal to the first process; one that ends things also keeps the restart policy from acting.

    Raises:
        ConflictError: it does not run.
    """
    status = one.read_status()
    if not status.is_up:
        raise ConflictError(f"cannot kill container {one.name}: it is not running", hint=_NO_PLACE)
    own_signal = one.configured_stop_signal
    is_final = number == SIGKILL or not own_signal or number == signal_number(own_signal)
    ask(one, "stop" if is_final or status.state == RESTARTING else "signal")
    if status.state == RESTARTING:
        _call_off(one)
        one.note("kill", signal=str(int(number)))
        return
    send_signal(one, status.pid, number)
    if is_final and status.state == PAUSED:
        _thaw(one)


def stop(one: "Container", timeout_s: float | None, signal_name: str, *, word: str = "stop") -> int:
    """Ask it to end, then make it; return its exit code.

    Args:
        one: the container.
        timeout_s: seconds until SIGKILL; None: what it was created with, else 10; negative: never.
        signal_name: empty: its own stop signal.
        word: what to write down as asked for.
    """
    if timeout_s is None:
        timeout_s = one.stop_timeout_s
    number = signal_number(signal_name) if signal_name else one.stop_signal
    status = one.read_status()
    if not status.is_up:
        return status.exit.code if status.exit else 0
    code = _stop(one, status, number, timeout_s, word)
    one.note("stop")
    return code


def _stop(one: "Container", status: Status, number: int, timeout_s: float, word: str) -> int:
    code = status.exit.code if status.exit else 0
    while status.is_up:
        ask(one, word)
        if status.is_alive:
            code = end(one, status, number, timeout_s)
            if one.options.auto_remove:
                return code
        else:
            _call_off(one)
        status = one.read_status()
        if status.is_alive:
            return code  # somebody has started it again by hand
    return code


def end(one: "Container", status: Status, number: int, timeout_s: float) -> int:
    """Signal its init, after `timeout_s` with SIGKILL; return its exit code.

    Whoever waits connects before the signal is sent: one with --rm is gone
    soon after it.
    """
    session = one.watch()
    try:
        if send_signal(one, status.pid, number):
            if status.state == PAUSED:
                _thaw(one)
            if not _ends_within(status.pid, timeout_s):
                send_signal(one, status.pid, SIGKILL)
        return one.await_end(session)
    finally:
        if session is not None:
            session.close()


def end_surely(one: "Container") -> None:
    """Have it end by SIGKILL and not begin again, whatever it is doing; it may be gone afterwards."""
    while (status := one.read_status()).is_up:
        ask(one, "stop")
        if status.is_alive:
            end(one, status, SIGKILL, _STOP_TIMEOUT_S)
            if one.options.auto_remove:
                return
        else:
            _call_off(one)


def restart(one: "Container", timeout_s: float | None, signal_name: str) -> None:
    """Stop it where it runs, then start it; one with --rm stays for that."""
    status = one.read_status()
    if status.is_up:
        stop(one, timeout_s, signal_name, word="restart")
    one.start()
    one.note("restart")


def ask(one: "Container", word: str) -> None:
    """Write down what is asked for, where something depends on it: a restart policy, or --rm that shall stay."""
    directory = one.directory
    if not os.path.exists(f"{directory}/{RESTART_FILE}") and not (word == "restart" and one.options.auto_remove):
        return
    path = f"{directory}/{ASKED_FILE}"
    if word == "signal" and os.path.exists(path):
        return  # no less than before
    with open(f"{path}.new", "w") as file:
        file.write(word)
    os.rename(f"{path}.new", path)


def _call_off(one: "Container") -> None:
    """Wake the monitor that waits to start it again, and wait until it has read what is asked for."""
    from toolkit.runtime import client

    client.poke(one.run_dir)
    while one.read_status().state == RESTARTING:
        time.sleep(_POLL_S)


def send_signal(one: "Container", pid: int, number: int) -> bool:
    """Signal the init, but only while its monitor vouches for the pid; tell whether it was there."""
    from toolkit.linux import process

    pidfd = process.find_pidfd(pid)
    if pidfd < 0:
        return False
    try:
        if not is_monitored(one.run_dir):
            return False
        one.note("kill", signal=str(int(number)))  # its end, which follows, is told by another
        process.pidfd_send_signal(pidfd, number)
    except OSError as exc:
        if exc.errno != errno.ESRCH:
            raise
        return False
    finally:
        os.close(pidfd)
    return True


def _ends_within(pid: int, timeout_s: float) -> bool:
    import select

    from toolkit.linux import process

    pidfd = process.find_pidfd(pid)
    if pidfd < 0:
        return True
    try:
        return bool(select.select([pidfd], [], [], None if timeout_s < 0 else timeout_s)[0])
    finally:
        os.close(pidfd)


def pause(one: "Container") -> None:
    """Freeze all its processes where they stand.

    The mark is there before the first of them stands still: whoever is killed
    in the middle leaves a container that is called paused, and unpause cures.

    Raises:
        ConflictError: it does not run, is paused already, or a process cannot be frozen.
    """
    status = one.read_status()
    refuse_restarting(one, status)
    if not status.is_alive:
        raise ConflictError(f"Container {one.name} is not running", hint=_NO_PLACE)
    if status.state == PAUSED:
        raise ConflictError(f"Container {one.name} is already paused")
    mark = f"{one.run_dir}/{PAUSED_FILE}"
    try:
        os.close(os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600))
        one.cgroups.freeze(one.id)
        one.note("pause")
    except TimeoutError as exc:
        os.unlink(mark)
        raise ConflictError(f"cannot pause container {one.name}: {exc}", hint="try again, or stop it") from exc
    except OSError as exc:
        if exc.errno not in _GONE:
            raise
        raise ConflictError(f"Container {one.name} is not running", hint=_NO_PLACE) from exc


def unpause(one: "Container") -> None:
    """Let its processes go on.

    Raises:
        ConflictError: it is not paused.
    """
    if one.read_status().state != PAUSED:
        raise ConflictError(f"Container {one.name} is not paused")
    _thaw(one)


def _thaw(one: "Container") -> None:
    try:
        one.cgroups.thaw(one.id)
        os.unlink(f"{one.run_dir}/{PAUSED_FILE}")
        one.note("unpause")
    except OSError as exc:
        if exc.errno not in _GONE:
            raise


def refuse_restarting(one: "Container", status: Status) -> None:
    """Refuse what needs a process.

    Raises:
        ConflictError: the container waits to be started again.
    """
    if status.state == RESTARTING:
        raise ConflictError(f"Container {one.name} is restarting, wait until the container is running")


def remove(one: "Container", *, force: bool, takes_volumes: bool = False) -> None:
    """Delete it and its files; see `Container.remove`."""
    status = one.read_status()
    if status.is_up and not force:
        why, cure = _why_it_stays(status)
        raise ConflictError(f"cannot remove container {one.name}: {why}", hint=cure)
    if status.is_up:
        try:
            end_surely(one)
        except NotFoundError:
            return  # somebody else has removed it meanwhile
        if one.options.auto_remove:
            return  # it has removed itself
    one.engine.containers.discard(one, takes_volumes=takes_volumes)


def _why_it_stays(status: Status) -> tuple[str, str]:
    if status.state == PAUSED:
        return "container is paused and must be unpaused first", "unpause and stop it, or use --force"
    if status.state == RESTARTING:
        return "container is restarting", "stop it first, or use --force"
    return "it is running", "stop it first, or use --force"
