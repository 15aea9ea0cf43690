"""From an OCI config to steps: what and in which order; pure, so it runs anywhere."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.engines import BUSYBOX, collect
from toolkit.core.errors import InvalidError
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions, Ulimit
from toolkit.linux.mount import MS_PRIVATE, MS_REC, MS_SHARED
from toolkit.linux.namespace import CLONE_NEWNS, CLONE_NEWPID, CLONE_NEWUTS
from toolkit.runtime import steps
from toolkit.runtime.plan import Cgroup, ExecTarget, Filter, OverlayRoot, begins_in_reserve, exec_plan, plan
from toolkit.runtime.steps import base

_OVERLAY = OverlayRoot(("/l2", "/l1"), "/up", "/work", (), "/mnt")
_CGROUP = Cgroup(
    ("/sys/fs/cgroup/x",), (("/sys/fs/cgroup/x/pids.max", "5"),), join_files=("/sys/fs/cgroup/x/cgroup.procs",)
)
_FILTER = Filter("AAAA", 0, 1, "default")


def _config(**linux: Any) -> Any:
    return {
        "process": {"args": ["true"], "env": ["A=b"], "cwd": "/", "capabilities": {"bounding": ["CAP_KILL"]}},
        "root": {"path": "rootfs"},
        "linux": {"namespaces": [{"type": kind} for kind in ("mount", "pid")], **linux},
    }


def _names(made: tuple[steps.Step, ...]) -> list[str]:
    return [type(step).__name__ for step in made]


def test_smallest_plan() -> None:
    assert _names(plan(_config())) == [
        "NewProcess",
        "NewSession",
        "JoinKeyring",
        "Unshare",
        "SetPropagation",
        "BindRoot",
        "ConnectStdio",
        "PivotRoot",
        "ChangeDirectory",
        "CloseOnExec",
        "BoundCapabilities",
        "SetUser",
        "SetCapabilities",
        "DieWithMonitor",
        "Exec",
    ]


def test_process_is_born_in_its_pid_namespace_and_takes_the_others() -> None:
    config = _config()
    config["linux"]["namespaces"].append({"type": "uts"})
    made = plan(config)
    assert made[0] == steps.NewProcess(CLONE_NEWPID)
    assert made[1:3] == (steps.NewSession(), steps.JoinKeyring())
    assert made[3] == steps.Unshare(CLONE_NEWUTS)
    assert made[4] == steps.Unshare(CLONE_NEWNS)


def test_limits_stand_before_the_process_is_under_them() -> None:
    names = _names(plan(_config(), cgroup=_CGROUP))
    assert names.index("CreateCgroup") < names.index("JoinCgroup") < names.index("Unshare")


def test_cgroup_namespace_is_made_after_joining() -> None:
    config = _config()
    config["linux"]["namespaces"].append({"type": "cgroup"})
    names = _names(plan(config, cgroup=_CGROUP))
    assert names.index("JoinCgroup") < names.index("UnshareCgroup")


def _delegating(user: int, *, version: str = "cgroup2", options: tuple[str, ...] = (), **linux: Any) -> list[str]:
    """Return the calls by which a plan gives the container's group away."""
    config = _config(**linux)
    config["linux"]["namespaces"] += [{"type": "cgroup"}]
    config["process"]["user"] = {"uid": user, "gid": user}
    config["mounts"] = [{"destination": "/sys/fs/cgroup", "type": "cgroup", "options": list(options)}]
    made = plan(config, cgroup=_CGROUP._replace(mounts=(("", version, ""),)))
    return [call for step in made if isinstance(step, steps.DelegateCgroup) for call in step.calls()]


_MAPPED = {
    "uidMappings": [{"containerID": 0, "hostID": 100_000, "size": 1000}],
    "gidMappings": [{"containerID": 0, "hostID": 100_000, "size": 1000}],
}


def test_a_group_that_is_mounted_writable_is_given_to_the_user() -> None:
    assert _delegating(1000)[0] == 'chown("/sys/fs/cgroup/x", 1000, -1)'
    assert 'chown("/sys/fs/cgroup/x/cgroup.procs", 1000, -1)' in _delegating(1000)
    assert not any("memory.max" in call for call in _delegating(1000))


@pytest.mark.parametrize(("user", "owner"), [(0, 100_000), (5, 100_005)])
def test_in_a_user_namespace_it_is_given_to_who_that_is_on_the_host(user: int, owner: int) -> None:
    config = _config(**_MAPPED)
    config["linux"]["namespaces"] += [{"type": kind} for kind in ("cgroup", "user")]
    config["process"]["user"] = {"uid": user, "gid": user}
    config["mounts"] = [{"destination": "/sys/fs/cgroup", "type": "cgroup"}]
    made = plan(config, cgroup=_CGROUP._replace(mounts=(("", "cgroup2", ""),)))
    (step,) = (each for each in made if isinstance(each, steps.DelegateCgroup))
    assert (step.uid, step.actor) == (owner, steps.OUTSIDE)


def test_a_group_is_kept_where_it_cannot_be_written_anyway_is_roots_or_is_of_v1() -> None:
    assert _delegating(1000, options=("ro",)) == []
    assert _delegating(0) == []
    assert _delegating(1000, version="cgroup") == []


def test_mounts_come_in_order_before_pivot_root() -> None:
    config = _config(maskedPaths=["/proc/kcore"], readonlyPaths=["/proc/sys"])
    config["mounts"] = [
        {"destination": "/proc", "type": "proc", "source": "proc"},
        {"destination": "/data", "type": "bind", "source": "/srv", "options": ["rbind", "ro"]},
    ]
    config["root"]["readonly"] = True
    names = _names(plan(config, overlay=_OVERLAY))
    assert names[names.index("SetPropagation") : names.index("PivotRoot") + 1] == [
        "SetPropagation",
        "MountOverlay",
        "MountFilesystem",
        "MountFilesystem",
        "ConnectStdio",
        "ReadonlyPath",
        "MaskPath",
        "ReadonlyRoot",
        "PivotRoot",
    ]


def test_seccomp_comes_before_capabilities_go_unless_no_new_privileges_allows_it_last() -> None:
    names = _names(plan(_config(), seccomp=_FILTER))
    assert names.index("LoadSeccomp") < names.index("BoundCapabilities")
    config = _config()
    config["process"]["noNewPrivileges"] = True
    names = _names(plan(config, seccomp=_FILTER))
    assert names.index("SetCapabilities") < names.index("SetNoNewPrivileges") < names.index("LoadSeccomp")


def test_death_signal_is_set_after_the_last_change_of_user() -> None:
    names = _names(plan(_config()))
    assert names.index("SetUser") < names.index("DieWithMonitor") == len(names) - 2


def test_terminal_replaces_the_pipes() -> None:
    config = _config()
    config["process"] |= {"terminal": True, "consoleSize": {"height": 24, "width": 80}}
    made = plan(config)
    assert steps.OpenTerminal(24, 80, bind_console=False) in made
    assert "ConnectStdio" not in _names(made)


def test_devices_follow_the_containers_own_dev() -> None:
    config = _config()
    config["mounts"] = [{"destination": "/dev", "type": "tmpfs", "source": "tmpfs"}]
    names = _names(plan(config))
    at = names.index("MountFilesystem")
    assert names[at : at + 3] == ["MountFilesystem", "MakeDevices", "LinkDevices"]


def test_shared_namespace_is_joined() -> None:
    config = _config()
    config["linux"]["namespaces"] += [{"type": "network", "path": "/proc/1/ns/net"}]
    assert steps.JoinNamespace("net", "/proc/1/ns/net") in plan(config)


def test_new_network_has_its_loopback_switched_on() -> None:
    config = _config()
    config["linux"]["namespaces"].append({"type": "network"})
    assert "LoopbackUp" in _names(plan(config))
    assert "LoopbackUp" not in _names(plan(_config()))


def test_exec_enters_what_runs_and_mounts_nothing() -> None:
    target = ExecTarget(4711, 99, ("pid", "mnt", "net"), ("/sys/fs/cgroup/x/cgroup.procs",))
    process: Any = {"args": ["sh"], "cwd": "/"}
    assert _names(exec_plan(process, target)) == [
        "OpenTarget",
        "EnterPidNamespace",
        "NewProcess",
        "JoinCgroup",
        "EnterNamespaces",
        "NewSession",
        "JoinKeyring",
        "ConnectStdio",
        "ChangeDirectory",
        "CloseOnExec",
        "SetUser",
        "DieWithMonitor",
        "Exec",
    ]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"linux": {"namespaces": [{"type": "nonesuch"}]}}, "unknown namespace type 'nonesuch'"),
        ({"linux": {"namespaces": [{"type": "pid"}, {"type": "pid"}]}}, "listed twice"),
        ({"hostname": "x"}, "needs a uts namespace"),
        ({"process": {"args": []}}, "no command is specified"),
        ({"mounts": [{"destination": "relative"}]}, "is not absolute"),
        ({"mounts": [{"destination": "/x", "type": "bind", "source": "relative"}]}, "is not absolute"),
    ],
)
def test_config_that_cannot_be_planned_says_why(change: dict[str, Any], text: str) -> None:
    with pytest.raises(InvalidError, match=text):
        plan({**_config(), **change})


def test_propagation_of_the_root_is_as_the_config_says() -> None:
    assert steps.SetPropagation(MS_PRIVATE | MS_REC) in plan(_config(rootfsPropagation="rprivate"))
    assert steps.SetPropagation(MS_SHARED) in plan(_config(rootfsPropagation="shared"))


# Every kind of step


def _every_kind() -> dict[str, type]:
    return dict(base._KINDS)  # type: ignore[arg-type]  # classes are callables


def _example(kind: type) -> Any:
    values = {"int": 1, "str": "x", "bool": True}
    fields = kind.__annotations__
    return kind(*(values.get(getattr(hint, "__name__", str(hint)), ()) for hint in fields.values()))


@pytest.mark.parametrize("name", sorted(_every_kind()))
def test_step_says_why_it_is_there_and_where_to_read_on(name: str) -> None:
    kind = _every_kind()[name]
    said = base._ABOUT[kind]
    assert said.actor in (steps.INIT, steps.OUTSIDE)
    assert said.why.endswith(".")
    assert said.see
    assert kind.__doc__
    assert said.phase.isalpha()


@pytest.mark.parametrize("name", sorted(_every_kind()))
def test_step_travels(name: str) -> None:
    step = _example(_every_kind()[name])
    travelled = steps.decode(steps.encode((step,)))
    assert travelled == (step,)
    assert type(travelled[0]) is type(step)


# What a step says it calls, against what it calls

_HELPERS = {"openat", "openat2", "mkdirat", "umask", "fchdir", "dup2", "fchown"}
"""Calls on the way to the one that matters; a step need not name them, or not all: a /dev/null is given to nobody."""


@pytest.mark.needs("root", "overlay", "busybox")
@pytest.mark.parametrize(
    "options",
    [
        {},
        {
            "user": "ada",
            "security_opt": ("no-new-privileges",),
            "ulimits": (Ulimit("nofile", 9, 9),),
            "read_only": True,
        },
        {"privileged": True, "network": "host", "tmpfs": {"/x": ""}},
    ],
    ids=["plain", "user", "privileged"],
)
def test_step_makes_the_calls_that_it_names(engine: Engine, options: dict[str, Any]) -> None:
    container = engine.containers.create(ContainerOptions(BUSYBOX, ("true",), **options))
    made = container.plan()
    attachment = container.start(attach=True, trace=True)
    assert attachment is not None
    collect(attachment)
    for index, step in enumerate(made):
        events = [event for event in attachment.events if event.step == index and not event.errno]
        done = [name for event in events if (name := event.call.partition("(")[0]) not in _HELPERS]
        named = [name for call in step.calls() if (name := call.partition("(")[0]) not in _HELPERS]
        alike = {"mknod": "mknodat", "symlink": "symlinkat"}
        wanted = [alike.get(name, name) for name in named]
        if isinstance(step, (steps.MaskPath, steps.ReadonlyPath)) and not done:
            continue  # this kernel does not have the path
        if isinstance(step, steps.BoundCapabilities):
            assert set(done) == set(wanted)  # not those that this machine had dropped already
            continue
        assert done == wanted, f"step {index}: {step}"


# What is known before there is a plan

_TYPES = ("mount", "pid", "network", "ipc", "uts", "cgroup", "user", "time")


@given(
    new=st.sets(st.sampled_from(_TYPES)),
    joined=st.sets(st.sampled_from(_TYPES[2:6])),
    mapped=st.booleans(),
)
def test_whether_a_plan_begins_in_the_reserve_is_known_before(new: set[str], joined: set[str], mapped: bool) -> None:  # noqa: FBT001 - drawn
    config = _config()
    config["linux"] |= {
        "namespaces": [{"type": kind} for kind in sorted(new - joined)]
        + [{"type": kind, "path": f"/proc/1/ns/{kind}"} for kind in sorted(joined)],
        "uidMappings": [{"containerID": 0, "hostID": 100000, "size": 10}],
        "gidMappings": [{"containerID": 0, "hostID": 100000, "size": 10}],
    }
    if mapped and "mount" in new:
        config["mounts"] = [{"destination": "/data", "type": "bind", "source": "/srv", "options": ["rbind", "idmap"]}]
    made = plan(config)
    assert begins_in_reserve(config) == (made[: len(steps.RESERVE_STEPS)] == steps.RESERVE_STEPS)
