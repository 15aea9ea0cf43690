"""Steps that take power away, last of all."""

from binascii import a2b_base64

from toolkit.core.record import NamedTuple
from toolkit.linux import capability, file
from toolkit.linux.flags import quoted
from toolkit.linux.seccomp import apply
from toolkit.runtime.steps.base import INIT, step
from toolkit.runtime.steps.waiting import creator_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.runtime.context import Context


@step(
    INIT,
    "security",
    why="Not even a set-user-id program gets a capability back that is not in the bounding set.",
    see="capabilities(7), Capability bounding set",
)
class BoundCapabilities(NamedTuple):
    """Give up, for good, the powers that no program in the container may ever gain."""

    keep: int

    def calls(self) -> tuple[str, ...]:
        return tuple(f"prctl(PR_CAPBSET_DROP, {name})" for name in capability.names(~self.keep & capability.ALL))

    def apply(self, context: "Context") -> None:
        capability.drop_bounding(self.keep)


@step(
    INIT,
    "security",
    why="Root in a container is root by name: it may bind port 80, but not load a module or set the clock.",
    see="capset(2), capabilities(7)",
)
class SetCapabilities(NamedTuple):
    """Keep exactly these powers of root's."""

    effective: int
    permitted: int
    inheritable: int
    ambient: int

    def calls(self) -> tuple[str, ...]:
        clear = "prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)"
        keep = [f"prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, {name}, 0, 0)" for name in capability.names(self.ambient)]
        return (clear, capability.capset_text(self.effective, self.permitted, self.inheritable), *keep)

    def apply(self, context: "Context") -> None:
        capability.clear_ambient()
        capability.capset(self.effective, self.permitted, self.inheritable)
        if self.ambient:
            capability.raise_ambient(self.ambient)


@step(
    INIT,
    "security",
    why="Set-user-id bits and file capabilities stop working for this process and all that it starts.",
    see="PR_SET_NO_NEW_PRIVS(2const)",
)
class SetNoNewPrivileges(NamedTuple):
    """Have execve never raise privileges again."""

    def calls(self) -> tuple[str, ...]:
        return ("prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)",)

    def apply(self, context: "Context") -> None:
        capability.set_no_new_privs()


@step(
    INIT,
    "security",
    why="A security module of the kernel's has rules for this program, under a name; they hold from its execve on.",
    see="runtime-spec config.md apparmorProfile, selinuxLabel; apparmor(7), selinux(8)",
)
class SetSecurityLabel(NamedTuple):
    """Tell AppArmor or SELinux as what the program is to run."""

    path: str
    label: str

    def calls(self) -> tuple[str, ...]:
        return (f"write({quoted(self.path)}, {quoted(self.label)})",)

    def apply(self, context: "Context") -> None:
        file.write_text(self.path, self.label, "security.label")


@step(
    INIT,
    "security",
    why="Most of the kernel's 400 calls are never needed by a container: those that are dangerous answer EPERM.",
    see="seccomp(2)",
)
class LoadSeccomp(NamedTuple):
    """Have the kernel check every system call against a filter."""

    program: str
    """The BPF program, in base64."""
    flags: int
    instructions: int
    profile: str

    def calls(self) -> tuple[str, ...]:
        return (apply.describe(self.instructions, self.flags),)

    def apply(self, context: "Context") -> None:
        listener = apply.load(a2b_base64(self.program), self.flags)
        if self.flags & apply.FLAG_NEW_LISTENER:
            creator_of(context).take_listener(listener)
