"""From an OCI config to the ordered steps that make a container of it.

Pure: no system call, no file is read here.  What the plan needs to know about
this host (its cgroup directories, its compiled seccomp filter) is an argument,
so a plan for another machine can be made, printed and tested anywhere.

The order is that of runc and crun, and each "before" has a reason:
what the process in reserve has done already comes first; cgroups before the
program's own mounts; cgroup namespace after joining them;
propagation before the first mount; all mounts before pivot_root, while the
host's paths can still be seen; the terminal before pivot_root, for its bind
onto /dev/console; seccomp before the capabilities go unless no_new_privs
allows it last; the death signal after the last change of user, which clears it.
"""

from toolkit.runtime import steps
from toolkit.runtime.plan.foreign import foreign_plan
from toolkit.runtime.plan.mounts import has_mapped, root, root_path, root_propagation, rootfs
from toolkit.runtime.plan.namespaces import begin, begin_in_user_namespace, enter, names, namespaces
from toolkit.runtime.plan.place import NO_CGROUP, Cgroup, Creation, ExecTarget, Filter, OverlayRoot
from toolkit.runtime.plan.process import become, exec_plan, hooks, stdio

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from toolkit.runtime import spec
    from toolkit.runtime.steps import ConnectNetwork, Step

__all__ = [
    "Cgroup",
    "Creation",
    "ExecTarget",
    "Filter",
    "OverlayRoot",
    "before_root",
    "begins_in_reserve",
    "exec_plan",
    "foreign_plan",
    "plan",
    "with_init",
    "without_reserve",
]


def plan(
    config: "spec.Config",
    *,
    overlay: OverlayRoot | None = None,
    cgroup: Cgroup = NO_CGROUP,
    seccomp: Filter | None = None,
    creation: Creation | None = None,
    network: "tuple[ConnectNetwork, ...]" = (),
) -> "tuple[Step, ...]":
    """Return the steps that make the container that `config` describes.

    Args:
        config: the OCI config; trusted.
        overlay: the root file system, where it is not the directory `root.path`.
        cgroup: the container's place in the cgroup trees.
        seccomp: the filter that `linux.seccomp` was compiled to.
        creation: how the OCI command line makes it; None: a monitor makes and starts it.
        network: what connects its network namespace, if it gets one of its own.

    Raises:
        InvalidError: the config asks for something that cannot be planned.
    """
    return _with_reserve(tuple(_steps(config, overlay, cgroup, seccomp, creation, network)))


def begins_in_reserve(config: "spec.Config") -> bool:
    """Tell, before there is a plan, whether it will begin with the process that a zygote keeps ready.

    Whoever knows that can have it get ready while the plan is being made.
    """
    wanted = namespaces(config)
    born = all(wanted.get(kind) == "" for kind in ("pid", "net", "ipc", "uts"))
    return born and not {"user", "time"} & wanted.keys() and not has_mapped(config)


def before_root(made: "tuple[Step, ...]") -> int:
    """Count the steps that need nothing of the container's own files: those before its root file system is mounted.

    They can be done while the files are being prepared.  0: it cannot be told.
    """
    return next((index for index, step in enumerate(made) if isinstance(step, steps.MountOverlay)), 0)


def _with_reserve(made: "tuple[Step, ...]") -> "tuple[Step, ...]":
    """Use the process that a zygote keeps ready, where the plan begins as it has begun and nobody is needed outside."""
    done = len(steps.RESERVE_STEPS)
    begins_so = made[:done] == without_reserve(steps.RESERVE_STEPS)
    if begins_so and all(steps.actor_of(step) == steps.INIT for step in made[done:]):
        return steps.RESERVE_STEPS + made[done:]
    return made


def with_init(made: "tuple[Step, ...]") -> "tuple[Step, ...]":
    """Return the same plan with a tiny init as the container's first process, and the program as its child."""
    *before, last = made
    return (*before, steps.BecomeInit(last.argv), last) if isinstance(last, steps.Exec) else made


def without_reserve(made: "tuple[Step, ...]") -> "tuple[Step, ...]":
    """Return the same plan for whoever wants to see each step done: the first process is made when it is its turn."""
    first, *rest = made
    return (first._replace(in_reserve=False), *rest) if isinstance(first, steps.NewProcess) else made


def _steps(
    config: "spec.Config",
    overlay: OverlayRoot | None,
    cgroup: Cgroup,
    seccomp: Filter | None,
    creation: Creation | None,
    network: "tuple[ConnectNetwork, ...]",
) -> "Iterator[Step]":
    wanted = namespaces(config)
    has_keyring = creation is None or creation.has_keyring
    is_born_inside = "user" in wanted
    if is_born_inside:
        yield from begin_in_user_namespace(config, overlay, cgroup, wanted, network)
    else:
        yield from begin(config, cgroup, wanted, network, has_keyring=has_keyring)
    yield from enter(config, wanted, is_born_inside=is_born_inside, has_keyring=has_keyring)
    yield from names(config, wanted)
    if "mnt" in wanted:
        if not is_born_inside:
            yield from root(config, overlay)
        yield from rootfs(config, cgroup, wanted, is_watched=creation is None)
    else:
        yield from stdio(config["process"], bind_console=False, is_watched=creation is None)
    if creation is not None:
        yield from hooks(config, ("prestart", "createRuntime", "createContainer"), creation)
    yield from _change_root(config, wanted, creation)
    yield from become(config, seccomp, creation)


def _change_root(config: "spec.Config", wanted: dict[str, str], creation: Creation | None) -> "Iterator[Step]":
    if "mnt" not in wanted:
        yield steps.ChangeRoot(root_path(config))
        return
    yield steps.PivotRoot() if creation is None or creation.pivots else steps.MoveRoot()
    yield from root_propagation(config)
