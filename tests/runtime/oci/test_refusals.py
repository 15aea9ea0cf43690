"""Configs that mean nothing: one clear line that begins with the field's JSON path, and nothing left over."""

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundles import Bundle, Runtime
from toolkit.core.errors import InvalidError
from toolkit.runtime import validate
from toolkit.runtime.oci.features import template

_DELETED = object()


def _changed(path: str, value: Any) -> dict[str, Any]:
    """Return the template with the field at a path such as "linux.namespaces.0.type" changed."""
    document = template(is_rootless=False)
    *way, last = path.split(".")
    place: Any = document
    for name in way:
        place = place[int(name)] if isinstance(place, list) else place.setdefault(name, {})
    if value is _DELETED:
        del place[last]
    elif isinstance(place, list):
        place[int(last)] = value
    else:
        place[last] = value
    return document


_MAP = {"containerID": 0, "hostID": 1000, "size": 10}

WRONG = [
    ("ociVersion", _DELETED, "ociVersion: it is missing"),
    ("ociVersion", "", "ociVersion: it is empty"),
    ("ociVersion", "two", "ociVersion: 'two' is not a version"),
    ("ociVersion", "2.0.0", "ociVersion: version 2.0.0 is not known here"),
    ("ociVersion", 1, "ociVersion: a number where a string is expected"),
    ("process", None, "process: it is missing"),
    ("process", [], "process: an array where an object is expected"),
    ("process.cwd", "tmp", "process.cwd: 'tmp' is not an absolute path"),
    ("process.cwd", _DELETED, "process.cwd: it is missing"),
    ("process.args", [], "process.args: there is no program to run"),
    ("process.args", [""], "process.args: there is no program to run"),
    ("process.args", ["a\0b"], "process.args[0]: a NUL character"),
    ("process.args", ["\ud800"], "process.args[0]: half of a surrogate pair"),
    ("process.args", "sh", "process.args: a string where an array is expected"),
    ("process.env", ["A=b", "no sign"], "process.env[1]: 'no sign' is not of the form NAME=value"),
    ("process.env", ["=b"], "process.env[0]: '=b' is not of the form NAME=value"),
    ("process.terminal", "yes", "process.terminal: a string where true or false is expected"),
    ("process.user.uid", -1, "process.user.uid: -1 is not between 0 and 4294967294"),
    ("process.user.uid", True, "process.user.uid: true or false where a number is expected"),
    ("process.user.gid", 1 << 32, "process.user.gid: 4294967296 is not between"),
    ("process.user.umask", 0o1000, "process.user.umask: 512 is not between 0 and 511"),
    ("process.rlimits.0.type", "RLIMIT_BEER", "process.rlimits[0].type: unknown value 'RLIMIT_BEER'"),
    ("process.rlimits.0.soft", 2000, "process.rlimits[0].soft: 2000 is above the hard limit, 1024"),
    (
        "process.rlimits",
        [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1}] * 2,
        "process.rlimits[1].type: RLIMIT_NOFILE is listed twice",
    ),
    ("process.oomScoreAdj", 1001, "process.oomScoreAdj: 1001 is not between -1000 and 1000"),
    ("process.capabilities.bounding", "CAP_KILL", "process.capabilities.bounding: a string where an array"),
    ("process.scheduler", {"nice": 1}, "process.scheduler.policy: it is missing"),
    ("process.scheduler", {"policy": "SCHED_X"}, "process.scheduler.policy: unknown value 'SCHED_X'"),
    (
        "process.scheduler",
        {"policy": "SCHED_OTHER", "nice": 20},
        "process.scheduler.nice: 20 is not between -20 and 19",
    ),
    (
        "process.ioPriority",
        {"class": "IOPRIO_CLASS_BE", "priority": 8},
        "process.ioPriority.priority: 8 is not between 0 and 7",
    ),
    ("process.execCPUAffinity", {"initial": "0-"}, "process.execCPUAffinity.initial: invalid list of CPUs: '0-'"),
    ("root", None, "root: it is missing"),
    ("root.path", "", "root.path: it is empty"),
    ("hostname", "x" * 65, "hostname: 65 bytes, and at most 64 are possible"),
    ("mounts.0.destination", None, "mounts[0].destination: it is missing"),
    ("mounts.1.options", ["a", 2], "mounts[1].options[1]: a number where a string is expected"),
    ("mounts.0", {"destination": "/x", "type": "bind"}, "mounts[0].source: a bind mount needs a source"),
    (
        "mounts.0",
        {"destination": "/x", "type": "proc", "uidMappings": [_MAP], "gidMappings": [_MAP]},
        "mounts[0].uidMappings: only bind mounts",
    ),
    (
        "mounts.0",
        {"destination": "/x", "type": "bind", "source": "/", "uidMappings": [_MAP]},
        "mounts[0].gidMappings: it is missing",
    ),
    (
        "mounts.0",
        {"destination": "/x", "type": "bind", "source": "/", "options": ["idmap"]},
        "mounts[0].options: idmap without mappings",
    ),
    ("mounts.0", {"destination": "/x", "type": "proc", "options": ["tmpcopyup"]}, "mounts[0].options: only a tmpfs"),
    ("linux.namespaces.0.type", "beer", "linux.namespaces[0].type: unknown value 'beer'"),
    ("linux.namespaces.1", {"type": "pid"}, "linux.namespaces[1].type: the namespace pid is listed twice"),
    ("linux.namespaces.2.path", "net", "linux.namespaces[2].path: 'net' is not an absolute path"),
    ("linux.namespaces.3", {"type": "user"}, "hostname: a name without a uts namespace"),
    ("linux.uidMappings", [_MAP], "linux.uidMappings: id mappings without a user namespace"),
    ("linux.namespaces.0", {"type": "user"}, "linux.uidMappings: a new user namespace needs id mappings"),
    ("linux.timeOffsets", {"boottime": {"secs": 1}}, "linux.timeOffsets: offsets without a time namespace"),
    ("linux.timeOffsets", {"sidereal": {"secs": 1}}, "linux.timeOffsets['sidereal']: unknown value 'sidereal'"),
    (
        "linux.timeOffsets",
        {"boottime": {"nanosecs": 10**9}},
        "linux.timeOffsets['boottime'].nanosecs: 1000000000 is not",
    ),
    (
        "linux.sysctl",
        {"vm.swappiness": "1"},
        "linux.sysctl['vm.swappiness']: sysctl 'vm.swappiness' is not in a namespace",
    ),
    (
        "linux.sysctl",
        {"kernel.hostname": "x"},
        "linux.sysctl['kernel.hostname']: sysctl 'kernel.hostname' conflicts with the field hostname",
    ),
    ("linux.sysctl", {"kernel.msgmax": 5}, "linux.sysctl['kernel.msgmax']: a number where a string is expected"),
    ("linux.rootfsPropagation", "rshare", "linux.rootfsPropagation: unknown value 'rshare'"),
    ("linux.devices", [{"type": "c", "path": "null", "major": 1, "minor": 3}], "linux.devices[0].path: 'null' is not"),
    ("linux.devices", [{"type": "x", "path": "/n"}], "linux.devices[0].type: unknown value 'x'"),
    ("linux.devices", [{"type": "c", "path": "/n", "major": 1}], "linux.devices[0].minor: it is missing"),
    ("linux.resources.devices.0.access", "rwx", "linux.resources.devices[0].access: unknown access 'rwx'"),
    ("linux.resources.memory", {"limit": "1g"}, "linux.resources.memory.limit: a string where a number is expected"),
    ("linux.resources.memory", {"limit": 1 << 63}, "linux.resources.memory.limit: 9223372036854775808 is not between"),
    ("linux.resources.cpu", {"shares": -1}, "linux.resources.cpu.shares: -1 is not between"),
    (
        "linux.resources.blockIO",
        {"weightDevice": [{"major": 8}]},
        "linux.resources.blockIO.weightDevice[0].minor: it is missing",
    ),
    ("linux.resources.unified", {"memory.high": 5}, "linux.resources.unified['memory.high']: a number"),
    ("linux.personality", {"domain": "HURD"}, "linux.personality.domain: unknown value 'HURD'"),
    ("linux.personality", {"domain": "LINUX", "flags": ["x"]}, "linux.personality.flags: 1 entries, and at most 0"),
    ("linux.seccomp", {}, "linux.seccomp.defaultAction: it is missing"),
    ("linux.seccomp", {"defaultAction": "DENY"}, "linux.seccomp.defaultAction: unknown value 'DENY'"),
    (
        "linux.seccomp",
        {"defaultAction": "SCMP_ACT_ALLOW", "defaultErrnoRet": 1},
        "linux.seccomp.defaultErrnoRet: SCMP_ACT_ALLOW takes no number",
    ),
    (
        "linux.seccomp",
        {"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["Z80"]},
        "linux.seccomp.architectures[0]: unknown value 'Z80'",
    ),
    (
        "linux.seccomp",
        {"defaultAction": "SCMP_ACT_ALLOW", "flags": ["FAST"]},
        "linux.seccomp.flags[0]: unknown value 'FAST'",
    ),
    (
        "linux.seccomp",
        {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": [], "action": "SCMP_ACT_LOG"}]},
        "linux.seccomp.syscalls[0].names: it names no system call",
    ),
    (
        "linux.seccomp",
        {
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [
                {"names": ["read"], "action": "SCMP_ACT_LOG", "args": [{"index": 6, "value": 0, "op": "SCMP_CMP_EQ"}]}
            ],
        },
        "linux.seccomp.syscalls[0].args[0].index: 6 is not between 0 and 5",
    ),
    ("hooks", {"prestart": [{"path": "x"}]}, "hooks.prestart[0].path: 'x' is not an absolute path"),
    ("hooks", {"poststop": [{"path": "/x", "timeout": 0}]}, "hooks.poststop[0].timeout: 0 is not between 1"),
    ("annotations", {"": "x"}, "annotations['']: it is empty"),
]


@pytest.mark.parametrize(("path", "value", "message"), WRONG, ids=[f"{path}-{n}" for n, (path, *_) in enumerate(WRONG)])
def test_message_begins_with_the_fields_path(path: str, value: Any, message: str) -> None:
    with pytest.raises(InvalidError) as failure:
        validate.config(_changed(path, value))
    assert str(failure.value).startswith(message)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("document", [None, [], "x", 5, True])
def test_document_that_is_no_object(document: Any) -> None:
    with pytest.raises(InvalidError, match=r"^config\.json: "):
        validate.config(document)


@pytest.mark.parametrize(
    ("side", "first", "second"),
    [("containerID", (0, 0, 10), (9, 100, 5)), ("hostID", (0, 0, 10), (20, 9, 5))],
)
def test_ranges_that_overlap(side: str, first: tuple[int, int, int], second: tuple[int, int, int]) -> None:
    entries = [dict(zip(("containerID", "hostID", "size"), each, strict=True)) for each in (first, second)]
    document = _changed("linux.uidMappings", entries)
    document["linux"]["gidMappings"] = entries
    document["linux"]["namespaces"].append({"type": "user"})
    with pytest.raises(InvalidError) as failure:
        validate.config(document)
    assert str(failure.value) == f"linux.uidMappings[1].{side}: the range overlaps the one of [0]"


def test_unknown_fields_and_nulls_are_let_pass() -> None:
    document = _changed("process.newField", {"x": [1, None]})
    document["linux"]["seccomp"] = None
    document["mounts"][0]["options"] = None
    config = validate.config(document)
    assert "seccomp" not in config["linux"]
    assert "options" not in config["mounts"][0]


# On this machine


def _fails(ours: Runtime, bundle: Bundle) -> str:
    bundle.write()
    done = ours("create", "--bundle", str(bundle.path), "it")
    assert done.code == 1
    assert done.err.count("\n") == 1, done.err
    assert ours("list", "-q").out == ""
    assert not [group for group in bundle.groups if group.endswith("/box")]
    return done.err.strip()


def _missing_root(bundle: Bundle) -> None:
    bundle.config["root"]["path"] = "nowhere"


def _file_as_root(bundle: Bundle) -> None:
    bundle.config["root"]["path"] = "rootfs/etc/passwd"


def _missing_namespace(bundle: Bundle) -> None:
    bundle.linux["namespaces"][1]["path"] = "/proc/self/ns/none"


def _other_namespace(bundle: Bundle) -> None:
    bundle.linux["namespaces"][1]["path"] = "/proc/self/ns/uts"


def _missing_source(bundle: Bundle) -> None:
    bundle.config["mounts"].append({"destination": "/x", "type": "bind", "source": "/no/where"})


def _systemd(bundle: Bundle) -> None:
    bundle.linux["cgroupsPath"] = "machine.slice:libpod:abc"


def _unknown_filesystem(bundle: Bundle) -> None:
    bundle.config["mounts"].append({"destination": "/x", "type": "beerfs", "source": "beer"})


def _unknown_option(bundle: Bundle) -> None:
    bundle.config["mounts"].append({"destination": "/x", "type": "tmpfs", "options": ["beer=1"]})


def _missing_program(bundle: Bundle) -> None:
    bundle.process["args"] = ["/no/such"]


def _not_executable(bundle: Bundle) -> None:
    bundle.process["args"] = ["/etc/passwd"]


def _limit_above(bundle: Bundle) -> None:
    top = 1 << 40
    bundle.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": top, "hard": top}]


def _bad_cpus(bundle: Bundle) -> None:
    bundle.linux["resources"] = {"cpu": {"cpus": "4000-5000"}}


def _no_controller(bundle: Bundle) -> None:
    bundle.linux["resources"] = {"rdma": {"mlx": {"hcaHandles": 1}}}


def _mapped_badly(bundle: Bundle) -> None:
    bundle.linux["namespaces"].append({"type": "user"})
    bundle.linux["uidMappings"] = bundle.linux["gidMappings"] = [{"containerID": 1, "hostID": 1, "size": 5}]


def _notify_as_default(bundle: Bundle) -> None:
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_NOTIFY"}


def _notify_write(bundle: Bundle) -> None:
    rule = {"names": ["write"], "action": "SCMP_ACT_NOTIFY"}
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/x", "syscalls": [rule]}


@pytest.mark.needs("root", "busybox")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_missing_root, "root.path: {path}/nowhere: no such file or directory"),
        (_file_as_root, "root.path: {path}/rootfs/etc/passwd: not a directory"),
        (_missing_namespace, "linux.namespaces[1].path: stat /proc/self/ns/none: no such file or directory"),
        (_other_namespace, "setns("),
        (_missing_source, "mounts[7].source: stat /no/where: no such file or directory"),
        (_systemd, "linux.cgroupsPath: 'machine.slice:libpod:abc' is for systemd"),
        (_unknown_filesystem, 'mount("beer", "/proc/self/fd/'),
        (_unknown_option, 'mount("tmpfs", "/proc/self/fd/'),
        (_missing_program, 'exec: "/no/such": stat /no/such: no such file or directory'),
        (_not_executable, 'exec: "/etc/passwd": permission denied'),
        (_limit_above, "prlimit64(0, RLIMIT_NOFILE"),
        (_bad_cpus, "write("),
        (_no_controller, "the cgroup controller rdma is not available"),
        (_mapped_badly, "linux.uidMappings: id 0 of the container is left out"),
        (_notify_as_default, "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be the default"),
        (_notify_write, "linux.seccomp: SCMP_ACT_NOTIFY cannot be used for write"),
    ],
)
def test_what_cannot_be_made_leaves_nothing(
    ours: Runtime, bundle: Bundle, change: Callable[[Bundle], None], message: str
) -> None:
    change(bundle)
    assert _fails(ours, bundle).startswith(message.format(path=bundle.path))


@pytest.mark.needs("root", "busybox")
@pytest.mark.parametrize("text", ["", "{", '{"ociVersion": "1.0.0"', "[" * 100_000, "\xff"])
def test_config_that_is_not_json(ours: Runtime, bundle: Bundle, text: str) -> None:
    (bundle.path / "config.json").write_text(text, encoding="latin-1")
    done = ours("create", "--bundle", str(bundle.path), "it")
    assert done.code == 1
    assert done.err.startswith(f"JSON specification file {bundle.path}/config.json: ")
    assert ours("list", "-q").out == ""


@pytest.mark.needs("root", "busybox")
def test_unknown_capabilities_are_ignored_with_a_warning(ours: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    bundle.process["capabilities"]["bounding"] = ["CAP_KILL", "CAP_BEER"]
    bundle.process["args"] = ["grep", "CapBnd", "/proc/self/status"]
    bundle.write()
    log = tmp_path / "log"
    done = ours("run", "--bundle", str(bundle.path), "it", before=("--log", str(log), "--log-format", "json"))
    assert (done.code, done.out.split()[1]) == (0, "0000000000000020")
    assert json.loads(log.read_text())["msg"].endswith("unknown capabilities are ignored: CAP_BEER")


@pytest.mark.needs("root", "busybox")
def test_unknown_system_calls_of_a_filter_are_ignored(ours: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    rule = {"names": ["mkdir", "mkdirat", "brew_beer"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}
    bundle.script("mkdir /x 2>/dev/null || echo refused")
    bundle.write()
    log = tmp_path / "log"
    done = ours("run", "--bundle", str(bundle.path), "it", before=("--debug", "--log", str(log)))
    assert (done.code, done.out) == (0, "refused\n")
    assert "unknown system call brew_beer is ignored" in log.read_text()


@pytest.mark.needs("root", "busybox")
@pytest.mark.parametrize("word", ["checkpoint", "restore"])
def test_checkpoints_are_refused(ours: Runtime, word: str) -> None:
    done = ours(word, "it")
    assert done.code == 1
    assert done.err.startswith("this runtime can neither freeze a container to disk nor thaw one")


@pytest.mark.parametrize("flags", [("--systemd-cgroup",), ("--cgroup-manager", "systemd")])
def test_systemd_cgroups_are_refused(ours: Runtime, flags: tuple[str, ...]) -> None:
    done = ours("list", before=flags)
    assert done.code == 1
    assert done.err.startswith("--systemd-cgroup: this runtime makes cgroups itself, without systemd")


def test_cgroup_manager_of_crun_is_known(ours: Runtime) -> None:
    assert ours("list", before=("--cgroup-manager", "cgroupfs")).code == 0
    assert "'disabled'" in ours("list", before=("--cgroup-manager", "disabled")).err


@pytest.mark.parametrize("form", ["json", "text"])
def test_errors_go_to_the_log_too(ours: Runtime, tmp_path: Path, form: str) -> None:
    log = tmp_path / "log"
    done = ours("state", "none", before=("--log", str(log), "--log-format", form))
    line = log.read_text()
    if form == "json":
        entry = json.loads(line)
        assert (entry["level"], entry["msg"]) == ("error", done.err.strip())
        assert entry["time"].endswith("Z")
    else:
        assert line.startswith('time="')
        assert f"level=error msg={json.dumps(done.err.strip())}" in line


# Files of ours that are damaged


@pytest.mark.needs("root", "busybox")
@pytest.mark.parametrize("name", ["state.json", "config.json"])
@pytest.mark.parametrize("damage", ["truncated", "missing", "other"])
def test_damaged_files_are_said_to_be_and_can_be_deleted(ours: Runtime, bundle: Bundle, name: str, damage: str) -> None:
    bundle.process["args"] = ["true"]
    with ours.running(bundle) as ident:
        ours.wait_stopped(ident)
        file = ours.root / ident / name
        if damage == "missing":
            os.unlink(file)
        else:
            file.write_bytes(file.read_bytes()[:20] if damage == "truncated" else b"[1, 2]")
        for words in (("start", ident), ("delete", ident)):
            done = ours(*words)
            assert done.code == 1
            assert f"{name} of container '{ident}' is damaged" in done.err or "has stopped" in done.err
        assert ours("list").code == 0
        assert ours("delete", "--force", ident).code == 0
        assert not (ours.root / ident).exists()
