"""Steps of a container that is made by one command and started by another, and of its hooks.

See Also:
    runtime-spec runtime.md, Lifecycle; config.md, POSIX-platform Hooks
"""

import os

from toolkit.core import document
from toolkit.core.record import NamedTuple
from toolkit.linux import process
from toolkit.linux.flags import quoted
from toolkit.runtime import hooks
from toolkit.runtime.steps.base import INIT, step

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.runtime.context import Context, Creator

IN_CONTAINER = "container"
IN_RUNTIME = "runtime"


@step(
    INIT,
    "hooks",
    why="The config names programs that want a say in the making of the container, each at its moment.",
    see="runtime-spec config.md POSIX-platform Hooks",
)
class RunHooks(NamedTuple):
    """Run the config's hooks of one kind, with the container's state on their stdin."""

    kind: str
    where: str
    """IN_CONTAINER: init runs them, where it is; IN_RUNTIME: whoever makes the container does, while init waits."""
    programs: tuple[tuple[str, tuple[str, ...], tuple[str, ...] | None, int], ...]
    """As the fields of `hooks.Hook`."""
    state: str
    """The container's state as JSON, but for its status and pid."""
    status: str

    def calls(self) -> tuple[str, ...]:
        return tuple(
            process.execve_text(path, args or (path,), len(env or ())) for path, args, env, _timeout_s in self.programs
        )

    def apply(self, context: "Context") -> None:
        if self.where == IN_RUNTIME:
            creator_of(context).run_hooks(self)
        else:
            self.run(os.getpid())

    def run(self, pid: int) -> None:
        """Run them, the container's process being `pid`.

        Raises:
            StartError: one failed.
        """
        state = document.decode(self.state) | {"status": self.status, "pid": pid}
        hooks.run_all(self.kind, tuple(hooks.Hook(*fields) for fields in self.programs), state)


@step(
    INIT,
    "program",
    why="All is ready but the program: who made the container may still look at it, or change it, from outside.",
    see="runtime-spec runtime.md Lifecycle; fifo(7)",
)
class AwaitStart(NamedTuple):
    """Tell the creator that all is ready, and wait for the word to start."""

    path: str
    """The fifo that it comes through; opened before the container was shut in."""

    def calls(self) -> tuple[str, ...]:
        return ("prctl(PR_SET_PDEATHSIG, 0)", f'read(FD<{quoted(self.path)[1:-1]}>, "0", 1)')

    def apply(self, context: "Context") -> None:
        process.set_parent_death_signal(0)
        creator_of(context).await_start()


@step(
    INIT,
    "program",
    why="The runtime's command ends when its work is done: the container's parent is then whoever called it.",
    see="PR_SET_PDEATHSIG(2const), PR_SET_CHILD_SUBREAPER(2const)",
)
class OutliveCreator(NamedTuple):
    """Have the process live on when the one that made it ends."""

    def calls(self) -> tuple[str, ...]:
        return ("prctl(PR_SET_PDEATHSIG, 0)",)

    def apply(self, context: "Context") -> None:
        process.set_parent_death_signal(0)


def creator_of(context: "Context") -> "Creator":
    """Return the way to whoever makes this container."""
    if context.creator is None:
        raise RuntimeError("this plan is for the OCI command line only")
    return context.creator
