"""Our record of a start against strace's: every event is true, and nothing that matters is missing.

The processes that wait in reserve have been born already when strace could be
attached to them, so it is attached to the zygote, and the pair that is used is
one of the next; so is the helper, which those ask that need somebody outside.
"""

from pathlib import Path
from typing import Any

import pytest

from tests.support.engines import BUSYBOX, collect, run
from tests.support.family import Family
from tests.support.strace import Call, Strace, essence, parse_call
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions, Ulimit
from toolkit.trace import Event
from toolkit.volume.mount import MountSpec

pytestmark = pytest.mark.needs("root", "overlay", "busybox", "strace")

_CHANGING = {
    *("mount", "umount2", "pivot_root", "chroot", "open_tree", "move_mount", "mount_setattr"),
    *("fsopen", "fsconfig", "fsmount", "fspick"),
    *("unshare", "setns", "clone3", "sethostname", "setdomainname"),
    *("mknod", "mknodat", "mkdir", "mkdirat", "symlinkat", "openat2", "chown", "fchownat"),
    *("prctl", "capset", "seccomp", "keyctl", "bpf"),
    *("setgroups", "setresuid", "setresgid", "setuid", "setgid", "setsid", "umask", "chdir", "fchdir"),
    *("dup2", "dup3", "close_range", "execve"),
}
"""Calls that change what the container is: none may be missing in the record."""
_QUESTIONS = ("PR_CAPBSET_READ", "PR_GET_NO_NEW_PRIVS", "PR_GET_SECUREBITS")

_PLAIN: dict[str, Any] = {}
_RICH: dict[str, Any] = {
    "user": "ada",
    "read_only": True,
    "security_opt": ("no-new-privileges",),
    "tmpfs": {"/tmp": "size=1m"},
    "sysctls": {"kernel.msgmax": "1000"},
    "ulimits": (Ulimit("nofile", 100, 100),),
    "domainname": "example.org",
    "working_dir": "/made/here",
    "oom_score_adj": 100,
}
_SHARING: dict[str, Any] = {"network": "host", "ipc_mode": "host", "uts_mode": "host", "pid_mode": "host"}
_TERMINAL: dict[str, Any] = {"tty": True, "open_stdin": True, "hostname": "box"}
_MAPPED: dict[str, Any] = {"userns_mode": "private"}
_PRIVILEGED: dict[str, Any] = {"privileged": True, "cgroupns_mode": "host"}
_MOUNTS: dict[str, Any] = {
    "binds": ("vol:/home", "/usr:/host:ro"),
    "mounts": (MountSpec("volume", "/part", "vol", read_only=True, subpath="ada"), MountSpec("tmpfs", "/memory")),
}


def _start(
    engine: Engine, family: Family, output: str, *, is_gated: bool, **options: Any
) -> tuple[list[Event], list[Call]]:
    """Start a container under strace; return our record and strace's."""
    run(engine, "true")
    strace = Strace(output, family.zygote())
    for _again in range(2):  # the pair that waits now, and the one that is being made
        _use_up_a_pair(engine)
    for _again in range(2):
        run(engine, "true")  # where the machine is quick enough, the pair that is used next has been used before
    used = engine.containers.create(ContainerOptions(BUSYBOX, ("true",))).step().finish()
    assert collect(used).code == 0
    family.helper()
    container = engine.containers.create(ContainerOptions(BUSYBOX, ("true",), **options))
    attachment = container.step().finish() if is_gated else container.start(attach=True, trace=True)
    assert attachment is not None
    assert collect(attachment).code == 0
    return attachment.events, strace.stop()


def _use_up_a_pair(engine: Engine) -> None:
    """Start a container without staying attached: who looks after it does so once."""
    container = engine.containers.create(ContainerOptions(BUSYBOX, ("true",)))
    container.start()
    container.wait()
    container.remove()


def _call(event: Event) -> Call:
    found = parse_call(event.pid, event.strace())
    assert found is not None, event.strace()
    return found


@pytest.mark.parametrize("is_gated", [False, True])
@pytest.mark.parametrize(
    "options",
    [_PLAIN, _RICH, _SHARING, _PRIVILEGED, _TERMINAL, _MAPPED, _MOUNTS, {**_MOUNTS, **_MAPPED}],
    ids=["plain", "rich", "sharing", "privileged", "terminal", "mapped", "mounts", "mapped-mounts"],
)
def test_record_is_what_strace_saw(
    engine: Engine,
    tmp_path: Path,
    is_gated: bool,  # noqa: FBT001 - a parameter
    options: dict[str, Any],
) -> None:
    family = Family(engine)
    events, calls = _start(engine, family, str(tmp_path / "strace"), is_gated=is_gated, **options)
    init = next(call.pid for call in reversed(calls) if call.name == "execve")
    ours = [_call(event) for event in events if event.actor == "init"]
    theirs = [call for call in calls if call.pid == init]

    # Each of our events is there, in the same order, with the same arguments and result.
    position = 0
    for mine in ours:
        wanted = essence(mine)
        found = next((at for at in range(position, len(theirs)) if essence(theirs[at]) == wanted), None)
        near = [essence(call) for call in theirs[position:] if call.name == mine.name][:3]
        assert found is not None, f"strace did not see {wanted}; next of that name: {near}"
        position = found + 1

    # Nothing that changes the container is missing in our record, from our first event to the program.
    # (A worker makes the call of the first event once more when it gets ready, before anyone asks.)
    second = next(at for at, call in enumerate(theirs) if essence(call) == essence(ours[1]))
    first = max(at for at, call in enumerate(theirs[:second]) if essence(call) == essence(ours[0]))
    seen = [essence(call) for call in theirs[first:position] if _changes(call)]
    assert seen == [essence(call) for call in ours if _changes(call)]


@pytest.mark.parametrize("is_gated", [False, True])
@pytest.mark.parametrize("options", [_PLAIN, _MAPPED, {**_MOUNTS, **_MAPPED}], ids=["plain", "mapped", "mapped-mounts"])
def test_record_of_what_is_done_from_outside_is_what_strace_saw(
    engine: Engine,
    tmp_path: Path,
    is_gated: bool,  # noqa: FBT001 - a parameter
    options: dict[str, Any],
) -> None:
    events, calls = _start(engine, Family(engine), str(tmp_path / "strace"), is_gated=is_gated, **options)
    ours = [essence(_call(event)) for event in events if event.actor == "outside"]
    assert ours
    by_pid = {pid: [essence(call) for call in calls if call.pid == pid] for pid in {call.pid for call in calls}}
    # Somebody has made exactly these calls, in this order.
    missing = min((_missing(ours, theirs) for theirs in by_pid.values()), key=len)
    assert missing == [], f"strace did not see {missing[0]}"


def _missing(ours: list[Any], theirs: list[Any]) -> list[Any]:
    """Return ours from the first on that is not among theirs, in order."""
    rest = iter(theirs)
    for index, wanted in enumerate(ours):
        if not any(wanted == seen for seen in rest):
            return ours[index:]
    return []


def _changes(call: Call) -> bool:
    return call.name in _CHANGING and not (call.name == "prctl" and call.args[0] in _QUESTIONS)
