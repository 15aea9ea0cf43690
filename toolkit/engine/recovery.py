"""Putting right what a killed process of ours has left: by ownership, never by name patterns.

A container's run directory exists from its start to the end of its clean-up
and is locked by its monitor (or, for a moment, by whoever starts or recovers
it).  So a run directory that nobody has locked is work left undone, and the
lock also says who may do it.
"""

import contextlib
import os
import time

from toolkit.core import clock, document
from toolkit.core.errors import ConflictError, NotFoundError
from toolkit.engine import events
from toolkit.linux import lock
from toolkit.runtime import policy
from toolkit.runtime.meeting import CLAIM_FILE, STATUS_FILE, ExitRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from toolkit.core.state import Row, State
    from toolkit.engine.cgroups import Cgroups
    from toolkit.engine.engine import Engine
    from toolkit.engine.paths import Paths

_PATIENCE_S = 2.0
_PAUSE_S = 0.002
_LOST = ExitRecord(137, oom_killed=False, started_at="", finished_at="", error="the container's monitor was killed")


class Recovery:
    """Finds and does what was left undone in one engine's roots."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self._paths: Paths = engine.paths
        self._state: State = engine.state
        self._held: dict[str, int] = {}

    def hold(self, ident: str, name: str) -> None:
        """Lock the run directory of a container that is about to be made, until this process takes it to start it.

        If the process dies before that, what it leaves is work left undone: a
        container of --rm goes, although it never ran.
        """
        self._held[ident] = self.take(ident, name)

    def release(self, ident: str) -> None:
        """Let go of a run directory that was held for a container that came to nothing; take it away."""
        fd = self._held.pop(ident, -1)
        if fd >= 0:
            self.let_go(ident, fd)

    def close(self) -> None:
        """Let go of all that is held: containers that were made to be started, and were not."""
        while self._held:
            os.close(self._held.popitem()[1])

    def run(self) -> None:
        """Look at every run directory and at the trash; costs microseconds where all is well."""
        for ident in os.listdir(self._paths.running):
            self.recover(ident)
        for name in os.listdir(self._paths.trash):
            self.empty(f"{self._paths.trash}/{name}")

    def recover(self, ident: str, *, wait: bool = False) -> None:
        """Clean up after one container, unless someone looks after it.

        Args:
            ident: its id.
            wait: whoever looks after it is about to leave: wait for that.
        """
        run_dir = self._paths.run_dir(ident)
        fd = claim(run_dir, wait=wait)
        if fd < 0:
            return
        try:
            if os.path.exists(f"{run_dir}/{CLAIM_FILE}"):
                self.clean(ident)
            remove_run_dir(run_dir)
        finally:
            os.close(fd)

    def remove_ended(self, ident: str, cgroups: "Cgroups", doc: "dict[str, Any]") -> None:
        """Remove a container of --rm that its monitor leaves to us, while that one removes its groups.

        Its record goes last: as long as there is one, the next command can do all this.
        """
        self._throw_away(ident)
        run_dir = self._paths.run_dir(ident)
        fd = claim(run_dir, wait=True)
        if fd < 0:
            return  # somebody else has finished it
        try:
            cgroups.destroy(ident)
            self._release_volumes(ident, doc, takes_them=True)
            self._state.delete("container", ident)
            remove_run_dir(run_dir)
        finally:
            os.close(fd)

    def undo(self, ident: str, *, forget: bool = False) -> None:
        """Take away what a start has made that its killed monitor cannot tell of, as if it had not been tried.

        Args:
            ident: the container's id.
            forget: take the container away, too.
        """
        run_dir = self._paths.run_dir(ident)
        deadline = time.monotonic() + _PATIENCE_S
        while (fd := claim(run_dir)) < 0:
            if not os.path.exists(run_dir) or time.monotonic() > deadline:
                return  # somebody else is about to start it
            time.sleep(_PAUSE_S)  # the monitor that was killed has not let go of it yet
        try:
            self._destroy(ident)
            with contextlib.suppress(FileNotFoundError):
                os.unlink(f"{self._paths.exit_file(ident)}.new")  # the place for the end of what did not begin
            if forget:
                self.remove(ident)
            remove_run_dir(run_dir)
        finally:
            os.close(fd)

    def take(self, ident: str, name: str, *, claims: bool = True, is_vain: "Callable[[], bool] | None" = None) -> int:
        """Make and lock a container's run directory: from now on nobody else starts or removes it.

        Args:
            ident: its id.
            name: its name, for the message.
            claims: say that there will be something to clean up if we are killed.
            is_vain: tells, while somebody else has it, that waiting longer is of no use.

        Returns:
            The descriptor that holds the lock.

        Raises:
            ConflictError: somebody else starts, runs or removes it at this moment.
        """
        if claims and ident in self._held:
            return self._held.pop(ident)
        run_dir = self._paths.run_dir(ident)
        claim_file = f"{run_dir}/{CLAIM_FILE}"
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            with contextlib.suppress(FileExistsError):
                os.mkdir(run_dir, 0o700)
            fd = claim(run_dir)
            if fd >= 0 and not os.path.exists(claim_file):
                if claims:
                    os.close(os.open(claim_file, os.O_CREAT | os.O_CLOEXEC, 0o600))
                return fd
            if fd >= 0:
                os.close(fd)
                self.recover(ident)
            elif is_vain is not None and is_vain():
                break
            else:
                time.sleep(_PAUSE_S)  # somebody looks whether it is a wreck, or has just been killed
        message = f"container {name} is being started or removed by someone else"
        hint = "try again; one that is made step by step waits for whoever steps it: go on with it, or give it up"
        raise ConflictError(message, hint=hint)

    def let_go(self, ident: str, lock_fd: int) -> None:
        """Leave a container as it ended, whose run directory nothing needs any more; the caller holds its lock."""
        remove_run_dir(self._paths.run_dir(ident))
        os.close(lock_fd)

    def clean(self, ident: str) -> None:
        """Do what a monitor does at the end; the caller holds the lock."""
        self._destroy(ident)
        is_lost = self._note_loss(ident)
        try:
            row = self._state.get("container", ident)
        except NotFoundError:
            row = None
        if row is not None and is_lost:
            died = {**events.attributes_of(row.doc, row.name or ""), "exitCode": str(_LOST.code)}
            from toolkit.runtime import membership

            left = membership.ended(self._paths.container(ident), ident)
            self._engine.events.note_all(("container", "die", ident, died), *left)
        if row is None or (
            row.doc["options"].get("auto_remove") and policy.asked(self._paths.container(ident)) != "restart"
        ):
            self.remove(ident)

    def _destroy(self, ident: str) -> None:
        """Kill what is left of the container, and take its groups away."""
        with contextlib.suppress(NotFoundError):
            runtime = self._state.get("container", ident).doc["options"].get("runtime", "")
            if runtime:
                from toolkit.engine import runtimes

                runtimes.bury(self._engine, ident, runtime)
        self._cgroups(ident).destroy(ident)
        if os.path.isdir(self._paths.volume_claims):
            self._engine.volumes.release(ident)

    def _release_volumes(self, ident: str, doc: "dict[str, Any]", *, takes_them: bool) -> None:
        """Let go of a container's volumes; take away those that are its alone, too, if asked to."""
        if "mounts" not in doc:
            return
        self._engine.volumes.release(ident)
        if takes_them:
            from toolkit.engine import mounting

            mounting.remove_anonymous(self._engine, ident, doc)

    def _cgroups(self, ident: str) -> "Cgroups":
        """Return the groups that the container's are among."""
        try:
            options = self._state.get("container", ident).doc["options"]
        except NotFoundError:
            return self._engine.cgroups  # it was being removed, and its groups go before its record does
        return self._engine.cgroups.under(options.get("cgroup_parent", ""))

    def _note_loss(self, ident: str) -> bool:
        """Write the exit record that a killed monitor could not write; tell whether there was none."""
        exit_file = self._paths.exit_file(ident)
        if not os.path.isdir(self._paths.container(ident)) or os.path.exists(exit_file):
            return False
        now = clock.now()
        try:
            with open(f"{self._paths.run_dir(ident)}/{STATUS_FILE}") as file:
                started_at = str(document.decode(file.read())["started_at"])
        except FileNotFoundError:
            started_at = now  # it was killed before the container ran
        try:
            self._note(ident, _LOST._replace(started_at=started_at, finished_at=now))
        except FileNotFoundError:
            return False  # it ended as it should: whoever removes it (`remove_ended`) has just thrown its files away
        return True

    def _note(self, ident: str, record: ExitRecord) -> None:
        exit_file = self._paths.exit_file(ident)
        with open(f"{exit_file}.new", "w") as file:
            file.write(document.encode(record._asdict()).decode())
        os.rename(f"{exit_file}.new", exit_file)

    def restore_end(self, ident: str, record: ExitRecord | None) -> None:
        """Have a container be as it ended where starting it again came to nothing before anything began."""
        if record is None or not os.path.isdir(self._paths.container(ident)):
            return
        with contextlib.suppress(ConflictError):  # somebody else is starting it
            fd = self.take(ident, ident)
            if not os.path.exists(self._paths.exit_file(ident)):
                self._note(ident, record)
            self.let_go(ident, fd)

    def remove(self, ident: str, *, takes_volumes: bool = False) -> None:
        """Forget a container, then delete its files; the caller holds the lock, so that this is ended if it is cut.

        The volumes that are its alone go before it: while there is its record, whoever comes next knows of them.
        """
        try:
            row = self._state.get("container", ident)
        except NotFoundError:
            row = None  # somebody was killed in the middle of this
        if row is not None:
            takes_them = takes_volumes or bool(row.doc["options"].get("auto_remove"))
            self._release_volumes(ident, row.doc, takes_them=takes_them)
        self._state.delete("container", ident)
        self._leave_networks(row)
        self._throw_away(ident)
        if row is not None:
            attributes = events.attributes_of(row.doc, row.name or "")
            self._engine.events.note("container", "destroy", ident, attributes)

    def _leave_networks(self, row: "Row | None") -> None:
        """Take back the addresses of a container that goes for good."""
        if row is not None and row.doc.get("networks"):
            self._engine.networks.release(row.id)

    def _throw_away(self, ident: str) -> None:
        trash = f"{self._paths.trash}/{ident}"
        try:
            os.rename(self._paths.container(ident), trash)
        except FileNotFoundError:
            pass  # it was never started
        self.empty(trash)

    @staticmethod
    def empty(path: str) -> None:
        """Delete a directory of the trash."""
        from toolkit.storage import overlay

        overlay.remove_tree(path)


def claim(run_dir: str, *, wait: bool = False) -> int:
    """Lock a run directory that nobody has locked; return its descriptor, or -1 if it is taken or gone."""
    try:
        fd = lock.open_directory(run_dir)
    except FileNotFoundError:
        return -1
    if wait:
        lock.wait_lock(fd)
    if (wait or lock.try_lock(fd)) and os.fstat(fd).st_nlink > 0:
        return fd
    os.close(fd)
    return -1


def remove_run_dir(run_dir: str) -> None:
    """Delete a run directory and the few files in it, the claim last; the caller holds its lock."""
    try:
        for name in sorted(os.listdir(run_dir), key=lambda name: name == CLAIM_FILE):
            os.unlink(f"{run_dir}/{name}")
        os.rmdir(run_dir)
    except FileNotFoundError:
        pass  # its monitor was quicker
