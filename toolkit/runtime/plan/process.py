"""The last part of a plan: who the process is, what it may do, and the program; and the plan of an exec."""

from toolkit.core.errors import InvalidError
from toolkit.linux import capability, namespace
from toolkit.runtime import steps

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from toolkit.runtime import spec
    from toolkit.runtime.plan.place import ExecTarget, Filter
    from toolkit.runtime.steps import Step


def stdio(process: "spec.Process", *, bind_console: bool) -> "Step":
    """Return the step that connects the process to a terminal of its own, or to what it was given."""
    if not process.get("terminal"):
        return steps.ConnectStdio()
    size = process.get("consoleSize")
    rows, columns = (size["height"], size["width"]) if size else (0, 0)
    return steps.OpenTerminal(rows, columns, bind_console=bind_console)


def become(process: "spec.Process", seccomp: "Filter | None", *, may_make_directory: bool = True) -> "Iterator[Step]":
    """Yield what makes the process who it shall be, and then the program."""
    limits = process.get("rlimits", [])
    if limits:
        yield steps.SetRlimits(tuple((limit["type"], limit["soft"], limit["hard"]) for limit in limits))
    yield steps.ChangeDirectory(process.get("cwd") or "/", may_make_directory)
    no_new_privileges = process.get("noNewPrivileges", False)
    load = [steps.LoadSeccomp(*seccomp)] if seccomp is not None else []
    if not no_new_privileges:
        yield from load
    yield from _credentials(process)
    if no_new_privileges:
        yield steps.SetNoNewPrivileges()
        yield from load
    yield steps.DieWithMonitor()
    argv = process.get("args", [])
    if not argv:
        raise InvalidError("no command is specified", hint="give one, or use an image that has a default command")
    yield steps.Exec(tuple(argv), tuple(process.get("env", [])))


def _credentials(process: "spec.Process") -> "Iterator[Step]":
    user = process.get("user", {})
    sets = process.get("capabilities")
    uid = user.get("uid", 0)
    if sets is not None:
        yield steps.BoundCapabilities(capability.parse(sets.get("bounding", [])))
    yield steps.SetUser(
        uid,
        user.get("gid", 0),
        tuple(user.get("additionalGids", [])),
        user.get("umask", 0o022),
        keep_capabilities=sets is not None and uid != 0,
    )
    if sets is not None:
        yield steps.SetCapabilities(
            capability.parse(sets.get("effective", [])),
            capability.parse(sets.get("permitted", [])),
            capability.parse(sets.get("inheritable", [])),
            capability.parse(sets.get("ambient", [])),
        )


def exec_plan(process: "spec.Process", target: "ExecTarget", *, seccomp: "Filter | None" = None) -> "tuple[Step, ...]":
    """Return the steps that run one more program in a container that runs."""
    return tuple(_exec_steps(process, target, seccomp))


def _exec_steps(process: "spec.Process", target: "ExecTarget", seccomp: "Filter | None") -> "Iterator[Step]":
    yield steps.OpenTarget(target.pid, target.start_time)
    if "pid" in target.namespaces:
        yield steps.EnterPidNamespace()
    yield steps.NewProcess(0)
    yield steps.JoinCgroup(target.cgroup_join_files)
    flags = sum(namespace.KINDS[kind] for kind in target.namespaces if kind != "pid")
    yield steps.EnterNamespaces(flags)
    if "user" in target.namespaces:
        yield steps.BecomeNamespaceRoot()
    yield steps.NewSession()
    yield steps.JoinKeyring()
    yield stdio(process, bind_console=False)
    yield from become(process, seccomp, may_make_directory=False)
