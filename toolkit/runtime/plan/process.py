"""The last part of a plan: who the process is, what it may do, and the program; and the plan of an exec."""

from toolkit.core.errors import InvalidError
from toolkit.linux import capability, namespace
from toolkit.linux.scheduling import SCHEDULER_FLAGS, parse_cpus
from toolkit.linux.seccomp.apply import FLAG_NEW_LISTENER
from toolkit.runtime import steps
from toolkit.runtime.hooks import of_config
from toolkit.runtime.steps.waiting import IN_CONTAINER, IN_RUNTIME

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from toolkit.runtime import spec
    from toolkit.runtime.plan.place import Creation, ExecTarget, Filter
    from toolkit.runtime.steps import Step


def stdio(process: "spec.Process", *, bind_console: bool, is_watched: bool) -> "Iterator[Step]":
    """Yield what connects the process to a terminal of its own, or to a monitor; else it keeps the caller's stdio."""
    if not process.get("terminal"):
        if is_watched:
            yield steps.ConnectStdio()
        return
    size = process.get("consoleSize")
    rows, columns = (size["height"], size["width"]) if size else (0, 0)
    yield steps.OpenTerminal(rows, columns, bind_console=bind_console)


def become(
    config: "spec.Config", seccomp: "Filter | None", creation: "Creation | None", *, may_make_directory: bool = True
) -> "Iterator[Step]":
    """Yield what makes the process who it shall be, and then the program.

    Args:
        config: the OCI config, or of an exec one with its process alone.
        seccomp: the compiled filter.
        creation: how it is started, if by the OCI command line.
        may_make_directory: its working directory is made where it lacks.
    """
    process = config["process"]
    argv, env = tuple(process.get("args", [])), tuple(process.get("env", []))
    if not argv:
        raise InvalidError("no command is specified", hint="give one, or use an image that has a default command")
    yield from _schedule(config)
    limits = process.get("rlimits", [])
    if limits:
        yield steps.SetRlimits(tuple((limit["type"], limit["soft"], limit["hard"]) for limit in limits))
    yield steps.ChangeDirectory(process.get("cwd") or "/", may_make_directory)
    yield from _labels(process)
    yield steps.CloseOnExec(3 if creation is None else 3 + creation.kept_fds)
    load = [steps.LoadSeccomp(*seccomp)] if seccomp is not None else []
    must_load_late = process.get("noNewPrivileges", False)
    if not must_load_late:
        yield from load
    yield from _credentials(process)
    if must_load_late:
        yield steps.SetNoNewPrivileges()
    late = load if must_load_late else []
    if creation is None:
        yield from late
        yield steps.DieWithMonitor()
    else:
        yield from _await_start(config, creation, late)
    yield steps.Exec(argv, env)


def _await_start(config: "spec.Config", creation: "Creation", load: "list[steps.LoadSeccomp]") -> "Iterator[Step]":
    """Yield the last steps before the program where another command starts it.

    A filter that waits for an answer to some calls is loaded while the creator
    is there to pass its listener on; any other one last, so that it need allow
    no more than the program itself does.
    """
    process = config["process"]
    yield steps.FindProgram(tuple(process.get("args", [])), tuple(process.get("env", [])))
    has_listener = any(step.flags & FLAG_NEW_LISTENER for step in load)
    if has_listener:
        yield from load
    if creation.start_fifo:
        yield steps.AwaitStart(creation.start_fifo)
        yield from hooks(config, ("startContainer",), creation)
    else:
        yield steps.OutliveCreator()
    if not has_listener:
        yield from load


_IN_CONTAINER = ("createContainer", "startContainer")


def hooks(config: "spec.Config", kinds: tuple[str, ...], creation: "Creation") -> "Iterator[Step]":
    """Yield the config's hooks of some kinds."""
    for kind in kinds:
        found = of_config(config.get("hooks", {}).get(kind, []))
        programs = tuple((hook.path, hook.args, hook.env, hook.timeout_s) for hook in found)
        if programs:
            where = IN_CONTAINER if kind in _IN_CONTAINER else IN_RUNTIME
            status = "created" if kind == "startContainer" else "creating"
            yield steps.RunHooks(kind, where, programs, creation.state, status)


def _labels(process: "spec.Process") -> "Iterator[Step]":
    """Yield what the security modules of the kernel are told about the program."""
    profile, label = process.get("apparmorProfile", ""), process.get("selinuxLabel", "")
    if profile:
        yield steps.SetSecurityLabel("/proc/self/attr/apparmor/exec", f"exec {profile}")
    if label:
        yield steps.SetSecurityLabel("/proc/self/attr/exec", label)


def _schedule(config: "spec.Config") -> "Iterator[Step]":
    process = config["process"]
    personality = config.get("linux", {}).get("personality")
    if personality:
        yield steps.SetPersonality(personality["domain"])
    scheduler = process.get("scheduler")
    if scheduler:
        yield steps.SetScheduler(
            scheduler["policy"],
            scheduler.get("nice", 0),
            scheduler.get("priority", 0),
            sum(SCHEDULER_FLAGS[name] for name in scheduler.get("flags", [])),
            (scheduler.get("runtime", 0), scheduler.get("deadline", 0), scheduler.get("period", 0)),
        )
    io = process.get("ioPriority")
    if io:
        yield steps.SetIoPriority(io["class"], io.get("priority", 0))


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


def exec_plan(
    process: "spec.Process",
    target: "ExecTarget",
    *,
    seccomp: "Filter | None" = None,
    creation: "Creation | None" = None,
) -> "tuple[Step, ...]":
    """Return the steps that run one more program in a container that runs."""
    return tuple(_exec_steps(process, target, seccomp, creation))


def _exec_steps(
    process: "spec.Process", target: "ExecTarget", seccomp: "Filter | None", creation: "Creation | None"
) -> "Iterator[Step]":
    affinity: spec.Affinity = process.get("execCPUAffinity", {})
    yield steps.OpenTarget(target.pid, target.start_time)
    if "user" in target.namespaces and not process.get("terminal"):
        yield steps.GiveStdio(*target.root)
    if "pid" in target.namespaces:
        yield steps.EnterPidNamespace()
    yield steps.NewProcess(0, is_sibling=creation is not None)  # a monitor makes it itself, and stays
    initial, final = affinity.get("initial", ""), affinity.get("final", "")
    if initial:
        yield steps.SetAffinity(parse_cpus(initial))
    if target.cgroup_join_files:
        yield steps.JoinCgroup(target.cgroup_join_files)
    if final:
        yield steps.SetAffinity(parse_cpus(final))
    if (score := process.get("oomScoreAdj")) is not None:
        yield steps.SetOomScore(score)
    flags = sum(namespace.KINDS[kind] for kind in target.namespaces if kind != "pid")
    if flags:  # none where a half-made container has only its pid namespace so far
        yield steps.EnterNamespaces(flags)
    if "user" in target.namespaces:
        yield steps.BecomeNamespaceRoot()
    yield steps.NewSession()
    if creation is None or creation.has_keyring:
        yield steps.JoinKeyring()
    yield from stdio(process, bind_console=False, is_watched=creation is None)
    yield from become({"process": process}, seccomp, creation, may_make_directory=False)
