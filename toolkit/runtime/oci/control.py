"""What is done to a container that was made and not deleted: signals, pause, resume, other limits.

None of it takes the container's lock: whoever holds that may wait for init.
"""

import errno
import os
import signal

from toolkit.core.errors import ConflictError, InvalidError
from toolkit.linux import cgroup, process
from toolkit.runtime.oci import cgroups
from toolkit.runtime.oci.store import CREATED, PAUSED, RUNNING, STOPPED, Record, Store, is_alive, not_found

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.linux.cgroup.hierarchy import Hierarchy
    from toolkit.linux.cgroup.resources import Resources


def signal_number(text: str) -> int:
    """Return a signal's number: "TERM", "SIGTERM" or "15".

    Raises:
        InvalidError: there is no such signal.
    """
    name = text.upper()
    try:
        if name.isdecimal():
            return signal.Signals(int(name)).value
        return signal.Signals[name if name.startswith("SIG") else f"SIG{name}"].value
    except (KeyError, ValueError) as exc:
        if name.isdecimal() and signal.SIGRTMIN < int(name) < signal.SIGRTMAX:
            return int(name)
        raise InvalidError(f"unknown signal {text!r}", hint="`kill -l` lists them") from exc


def kill(store: Store, ident: str, number: int, *, everyone: bool) -> None:
    """Send a signal to a container's first process, or to every process of it.

    Raises:
        NotFoundError: there is no such container.
        ConflictError: it does not run.
    """
    record = store.read(ident)
    if everyone:
        _signal_all(record, cgroup.detect(), number)
        return
    if store.status(record) not in (CREATED, RUNNING, PAUSED):
        raise ConflictError("container not running", hint="it has ended, or is not made yet")
    try:
        pidfd = process.pidfd_open(record.pid)
    except OSError as exc:
        if exc.errno != errno.ESRCH:
            raise
        raise ConflictError("container not running", hint="it has just ended") from exc
    try:
        if is_alive(record):
            process.pidfd_send_signal(pidfd, number)
    finally:
        os.close(pidfd)


def _signal_all(record: Record, hierarchy: "Hierarchy", number: int) -> None:
    if not record.cgroup:
        return
    where = cgroups.of_record(record, hierarchy)
    for pid in where.pids(record.cgroup):
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def pause(store: Store, ident: str) -> None:
    """Stop a container's processes where they stand.

    Raises:
        ConflictError: it does not run.
    """
    record = store.read(ident)
    status = store.status(record)
    if status not in (RUNNING, CREATED):
        raise ConflictError(f"cannot pause a container that is {status}: container not running")
    cgroups.of_record(record, cgroup.detect()).freeze(record.cgroup)


def resume(store: Store, ident: str) -> None:
    """Let a paused container's processes go on.

    Raises:
        ConflictError: it is not paused.
    """
    record = store.read(ident)
    if store.status(record) != PAUSED:
        raise ConflictError("container not paused")
    cgroups.of_record(record, cgroup.detect()).thaw(record.cgroup)


def update(store: Store, ident: str, resources: "Resources") -> None:
    """Change the limits of a container that runs.

    Raises:
        ConflictError: it does not run.
        EngineError: a limit that cannot be set.
    """
    record = store.read(ident)
    if store.status(record) == STOPPED:
        raise ConflictError("cannot update a container that is stopped: container not running")
    if not record.cgroup:
        raise not_found(ident)
    cgroups.of_record(record, cgroup.detect()).update(record.cgroup, resources)
    config = store.read_config(ident)
    linux = config.setdefault("linux", {})
    kept = linux.setdefault("resources", {})
    for key, value in resources.items():
        kept[key] = {**kept[key], **value} if isinstance(value, dict) and isinstance(kept.get(key), dict) else value
    store.write(record, config)
