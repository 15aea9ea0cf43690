"""Devices of the host's in a container: the node, and what the cgroup lets programs do with it."""

import os
import stat

import pytest

from tests.support.engines import BUSYBOX, run, sh
from tests.support.features import IN_GUEST
from toolkit.core.errors import InvalidError, NotFoundError
from toolkit.engine import devices
from toolkit.engine.engine import Engine
from toolkit.engine.options import BlockDevice, ContainerOptions, DeviceMapping

pytestmark = pytest.mark.needs("root", "overlay", "busybox")

_KMSG = "/dev/kmsg"
_HARMLESS = ("/dev/loop-control", "/dev/fuse", "/dev/net/tun")
"""Devices that nothing happens to when they are opened."""
_EMPTY_DISK = "/dev/vda"
"""Of the guest."""


def _openable() -> str:
    candidates = (*_HARMLESS, *([_EMPTY_DISK] if os.environ.get(IN_GUEST) else []))
    found = [path for path in candidates if os.path.exists(path)]
    return found[0] if found else pytest.fail("no device to try")


def _numbers(path: str) -> str:
    found = os.stat(path)
    return f"{os.major(found.st_rdev):x}:{os.minor(found.st_rdev):x}"


def test_device_has_its_node_where_it_was_asked_for(engine: Engine) -> None:
    ran = run(engine, "stat", "-c", "%t:%T %F", "/dev/messages", devices=(DeviceMapping(_KMSG, "/dev/messages", "r"),))
    assert ran.out == f"{_numbers(_KMSG)} character special file\n"


@pytest.mark.guest
def test_device_can_be_used_as_its_permissions_say(engine: Engine) -> None:
    for permissions, codes in (("rwm", "0 0"), ("r", "0 1"), ("w", "1 0")):
        mapping = DeviceMapping(_openable(), "/dev/k", permissions)
        ran = sh(engine, "(: < /dev/k) 2>/dev/null; a=$?; (: > /dev/k) 2>/dev/null; echo $a $?", devices=(mapping,))
        assert ran.out.strip() == codes, permissions


@pytest.mark.guest
def test_node_without_a_rule_cannot_be_opened(engine: Engine) -> None:
    path = _openable()
    kind = "b" if stat.S_ISBLK(os.stat(path).st_mode) else "c"
    major, minor = (int(each, 16) for each in _numbers(path).split(":"))
    script = f"mknod /k {kind} {major} {minor} && : < /k"
    assert "Operation not permitted" in sh(engine, script).err
    allowed = sh(engine, script, device_cgroup_rules=(f"{kind} {major}:{minor} r",))
    assert allowed.code == 0, allowed.err


def test_directory_stands_for_all_devices_in_it(engine: Engine, tmp_path: os.PathLike[str]) -> None:
    base = f"{tmp_path}/zoo"
    os.makedirs(f"{base}/sub")
    os.mknod(f"{base}/one", stat.S_IFCHR | 0o600, os.makedev(1, 5))
    os.mknod(f"{base}/sub/two", stat.S_IFCHR | 0o640, os.makedev(1, 7))
    with open(f"{base}/file", "w"):
        pass
    ran = sh(
        engine,
        "cd /dev/zoo && find . -type c | sort; stat -c %a one sub/two; ls file",
        devices=(DeviceMapping(base, "/dev/zoo"),),
    )
    assert ran.out.split() == ["./one", "./sub/two", "600", "640"]


def test_of_several_devices_at_one_path_the_last_is_there(engine: Engine) -> None:
    mappings = (DeviceMapping("/dev/null", "/dev/x"), DeviceMapping("/dev/zero", "/dev/x"))
    assert run(engine, "stat", "-c", "%t:%T", "/dev/x", devices=mappings).out == "1:5\n"
    mappings = (DeviceMapping("/dev/zero", "/dev/null"), DeviceMapping("/dev/full", "/dev/zero"))
    assert run(engine, "stat", "-c", "%t:%T", "/dev/null", devices=mappings, privileged=True).out == "1:5\n"


def test_symlink_to_a_device_is_the_device(engine: Engine, tmp_path: os.PathLike[str]) -> None:
    os.symlink("/dev/zero", f"{tmp_path}/link")
    ran = run(engine, "stat", "-c", "%t:%T %F", "/dev/x", devices=(DeviceMapping(f"{tmp_path}/link", "/dev/x"),))
    assert ran.out == "1:5 character special file\n"


def test_device_in_a_user_namespace_is_the_hosts_own_node(engine: Engine) -> None:
    ran = sh(engine, "head -c 3 /dev/z | wc -c", devices=(DeviceMapping("/dev/zero", "/dev/z"),), userns_mode="private")
    assert ran.out.strip() == "3", ran.err


def test_path_that_is_not_there_is_refused_at_the_start_with_dockers_words(engine: Engine) -> None:
    with pytest.raises(NotFoundError, match='adding custom device "/dev/nonesuch": no such file or directory'):
        run(engine, "true", devices=(DeviceMapping("/dev/nonesuch", "/dev/x"),))
    assert list(engine.containers.list(all=True)) == []


def test_file_is_no_device(engine: Engine) -> None:
    with pytest.raises(InvalidError, match='adding custom device "/etc/passwd": not a device node'):
        run(engine, "true", devices=(DeviceMapping("/etc/passwd", "/dev/x"),))


def test_privileged_container_has_the_hosts_devices_and_terminals_of_its_own(engine: Engine) -> None:
    there = set(run(engine, "ls", "/dev", privileged=True).out.split())
    here = {name for name in os.listdir("/dev") if stat.S_ISCHR(os.lstat(f"/dev/{name}").st_mode)}
    assert here - {"console", "ptmx"} <= there
    assert run(engine, "ls", "/dev/pts", privileged=True).out.split() == ["ptmx"]


@pytest.mark.parametrize(
    ("text", "rules"),
    [
        ("c 10:* rwm", [("c", 10, -1, "rwm")]),
        ("b *:* r", [("b", -1, -1, "r")]),
        ("a 1:3 r", [("b", 1, 3, "r"), ("c", 1, 3, "r")]),
    ],
)
def test_rule(text: str, rules: list[tuple[str, int, int, str]]) -> None:
    found = devices.parse_rule(text)
    assert [(each["type"], each["major"], each["minor"], each["access"]) for each in found] == rules
    assert all(each["allow"] for each in found)


@pytest.mark.parametrize(
    "text", ["", "foo", "c 10 r", "c 10:x r", "c 10:* q", "c 10:*", "d 1:1 r", "c ٣:1 r", "c 1:1 rwmr"]
)
def test_rule_that_is_none_is_refused(engine: Engine, text: str) -> None:
    with pytest.raises(InvalidError, match="invalid device cgroup format"):
        engine.containers.create(ContainerOptions(BUSYBOX, ("true",), device_cgroup_rules=(text,)))


def _disk() -> str:
    disks = [name for name in os.listdir("/sys/block") if os.path.exists(f"/dev/{name}")]
    return f"/dev/{min(disks)}" if disks else pytest.fail("no disk")


@pytest.mark.guest
@pytest.mark.needs("cgroup:blkio")
@pytest.mark.parametrize(
    ("field", "v1_file", "v2_word"),
    [
        ("device_read_bps", "read_bps", "rbps"),
        ("device_write_bps", "write_bps", "wbps"),
        ("device_read_iops", "read_iops", "riops"),
        ("device_write_iops", "write_iops", "wiops"),
    ],
)
def test_rate_of_a_disk_is_limited(engine: Engine, field: str, v1_file: str, v2_word: str) -> None:
    disk = _disk()
    number = "{}:{}".format(*(int(each, 16) for each in _numbers(disk).split(":")))
    file = f"/sys/fs/cgroup/blkio/blkio.throttle.{v1_file}_device"
    ran = sh(engine, f"cat {file} 2>/dev/null || cat /sys/fs/cgroup/io.max", **{field: (BlockDevice(disk, 1 << 20),)})
    assert ran.out.strip() == f"{number} 1048576" or f"{v2_word}=1048576" in ran.out


def test_rate_of_what_is_no_disk_is_refused(engine: Engine) -> None:
    with pytest.raises(InvalidError, match="/dev/null is not a block device"):
        run(engine, "true", device_read_bps=(BlockDevice("/dev/null", 1),))
    with pytest.raises(NotFoundError, match="stat /dev/nonesuch: no such file"):
        run(engine, "true", device_read_bps=(BlockDevice("/dev/nonesuch", 1),))
