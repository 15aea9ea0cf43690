"""Namespaces that exist, users that are mapped, clocks, and mounts with other owners."""

import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.bundles import Bundle, Runtime

pytestmark = pytest.mark.needs("root", "busybox")

_MAPPING = [{"containerID": 0, "hostID": 100000, "size": 65536}]
_PROC_NAMES = {"network": "net", "mount": "mnt"}


def _set_namespace(bundle: Bundle, kind: str, path: str = "") -> None:
    kept = [each for each in bundle.linux["namespaces"] if each["type"] != kind]
    entry = {"type": kind, "path": path} if path else {"type": kind}
    bundle.linux["namespaces"] = [*kept, entry]


def _map_users(bundle: Bundle) -> None:
    _set_namespace(bundle, "user")
    bundle.linux.update(uidMappings=_MAPPING, gidMappings=_MAPPING)
    for path in (bundle.rootfs, *bundle.rootfs.rglob("*")):
        os.chown(path, 100000, 100000, follow_symlinks=False)


@pytest.mark.parametrize("kind", ["network", "ipc", "uts", "pid", "cgroup"])
def test_joins_another_containers_namespace(runtime: Runtime, make_bundle: Callable[[], Bundle], kind: str) -> None:
    first, second = make_bundle(), make_bundle()
    first.process["args"] = ["sleep", "60"]
    with runtime.running(first) as ident:
        path = f"/proc/{runtime.state(ident)['pid']}/ns/{_PROC_NAMES.get(kind, kind)}"
        _set_namespace(second, kind, path)
        if kind == "uts":
            second.config.pop("hostname")
        second.process["args"] = ["readlink", f"/proc/self/ns/{_PROC_NAMES.get(kind, kind)}"]
        assert runtime.run(second).out.strip() == os.readlink(path)


def test_joins_a_user_namespace_and_what_belongs_to_it(ours: Runtime, make_bundle: Callable[[], Bundle]) -> None:
    first, second = make_bundle(), make_bundle()
    _map_users(first)
    first.process["args"] = ["sleep", "60"]
    with ours.running(first) as ident:
        base = f"/proc/{ours.state(ident)['pid']}/ns"
        for kind in ("user", "network", "ipc"):
            _set_namespace(second, kind, f"{base}/{_PROC_NAMES.get(kind, kind)}")
        second.script(
            "cat /proc/self/uid_map; readlink /proc/self/ns/user; readlink /proc/self/ns/net; id -u; echo $$; touch /x"
        )
        done = ours.run(second)
        joined = [os.readlink(f"{base}/user"), os.readlink(f"{base}/net")]
    assert done.out.split() == ["0", "100000", "65536", *joined, "0", "1"], done.err


def test_host_namespace_with_users_of_its_own(ours: Runtime, bundle: Bundle) -> None:
    """A network namespace that belongs to the host's users can be joined nevertheless, as podman wants it."""
    with subprocess.Popen(["unshare", "--net", "sleep", "60"]) as other:
        _map_users(bundle)
        _set_namespace(bundle, "network", f"/proc/{other.pid}/ns/net")
        bundle.config["mounts"] = [each for each in bundle.config["mounts"] if each["type"] != "sysfs"]
        bundle.config["mounts"] = [each for each in bundle.config["mounts"] if each["type"] != "cgroup"]
        bundle.process["args"] = ["readlink", "/proc/self/ns/net"]
        done = ours.run(bundle)
        assert done.out.strip() == os.readlink(f"/proc/{other.pid}/ns/net"), done.err
        other.kill()


def test_private_root_and_sources_in_a_user_namespace(ours: Runtime, bundle: Bundle) -> None:
    """Neither the way to the root nor to a source need be open to the container's users."""
    _map_users(bundle)
    bundle.path.chmod(0o700)
    secret = bundle.path / "secret"
    secret.mkdir(0o700)
    (secret / "file").write_text("shown\n")
    bundle.config["mounts"].append(
        {"destination": "/file", "type": "bind", "source": str(secret / "file"), "options": ["bind", "ro"]}
    )
    bundle.process["args"] = ["cat", "/file"]
    done = ours.run(bundle)
    assert (done.code, done.out) == (0, "shown\n"), done.err


def test_clocks_are_ahead(ours: Runtime, bundle: Bundle) -> None:
    _set_namespace(bundle, "time")
    bundle.linux["timeOffsets"] = {"boottime": {"secs": 1_000_000}, "monotonic": {"secs": 5, "nanosecs": 6}}
    bundle.script("cut -d. -f1 /proc/uptime; cat /proc/self/timens_offsets")
    uptime, *offsets = ours.run(bundle).out.splitlines()
    here = float(Path("/proc/uptime").read_text().split()[0])
    assert 0 <= int(uptime) - 1_000_000 - here + 10 < 20
    assert [line.split() for line in offsets] == [["monotonic", "5", "6"], ["boottime", "1000000", "0"]]


def _mapped_mount(bundle: Bundle, **fields: Any) -> None:
    source = bundle.path / "mapped"
    source.mkdir()
    (source / "file").write_text("x")
    os.chown(source / "file", 5, 6)
    bundle.config["mounts"].append(
        {"destination": "/mapped", "type": "bind", "source": str(source), "options": ["rbind"], **fields}
    )
    bundle.script("stat -c '%u %g' /mapped/file; echo > /mapped/new")


def test_owners_of_a_mapped_mount(ours: Runtime, bundle: Bundle) -> None:
    """An id on disk is `containerID`, and is shown as `hostID`, which without a user namespace is what is seen."""
    mapping = [{"containerID": 0, "hostID": 1000, "size": 100}]
    _mapped_mount(bundle, uidMappings=mapping, gidMappings=mapping)
    assert ours.run(bundle).out == "1005 1006\n"
    assert (bundle.path / "mapped" / "file").stat().st_uid == 5


def test_owners_of_a_mapped_mount_in_a_user_namespace(ours: Runtime, bundle: Bundle) -> None:
    _map_users(bundle)
    _mapped_mount(bundle, uidMappings=_MAPPING, gidMappings=_MAPPING)
    done = ours.run(bundle)
    assert done.out == "5 6\n", done.err
    assert (bundle.path / "mapped" / "new").stat().st_uid == 0


def test_idmap_alone_takes_the_containers_mapping(ours: Runtime, bundle: Bundle) -> None:
    _map_users(bundle)
    _mapped_mount(bundle, options=["rbind", "idmap"])
    done = ours.run(bundle)
    assert done.out == "5 6\n", done.err


def test_container_without_mount_namespace_is_only_chrooted(ours: Runtime, bundle: Bundle) -> None:
    bundle.linux["namespaces"] = [each for each in bundle.linux["namespaces"] if each["type"] != "mount"]
    del bundle.linux["maskedPaths"], bundle.linux["readonlyPaths"]
    before = Path("/proc/self/mountinfo").read_text()
    bundle.script("ls / | head -3 | tr '\\n' ' '")
    done = ours.run(bundle)
    assert (done.out, "mounts: they are left out" in done.err) == ("bin dev etc ", True)
    assert Path("/proc/self/mountinfo").read_text() == before


def test_config_can_have_another_name(ours: Runtime, bundle: Bundle) -> None:
    bundle.script("echo alive")
    bundle.write()
    (bundle.path / "config.json").rename(bundle.path / "other.json")
    assert "not found" in ours("run", "--bundle", str(bundle.path), "it").err
    assert ours("run", "--bundle", str(bundle.path), "--config", "other.json", "it").out == "alive\n"


@pytest.mark.parametrize("flag", ["--no-pivot", "--no-new-keyring"])
def test_flags_that_change_how_it_is_shut_in(runtime: Runtime, bundle: Bundle, flag: str) -> None:
    bundle.script("cut -d' ' -f5 /proc/self/mountinfo | head -1; ls -d /work /etc/passwd; cat /proc/keys | wc -l")
    assert "/etc/passwd" in runtime.run(bundle, flag).out
