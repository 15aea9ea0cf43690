"""Options of a container that its own programs can see, one each; docker's meaning."""

import os

import pytest

from tests.support.engines import BUSYBOX, collect, run, sh
from toolkit.core.errors import ConflictError, InvalidError, NotFoundError, UnsupportedError
from toolkit.engine import validate
from toolkit.engine.container import Container
from toolkit.engine.engine import Engine
from toolkit.engine.options import BlockDevice, ContainerOptions, ExecOptions, IdRange

pytestmark = pytest.mark.needs("root", "overlay", "busybox")


def _limit(engine: Engine, controller: str, v1_file: str, v2_file: str, **options: object) -> str:
    name = v1_file if controller in engine.cgroups._hierarchy.v1 else v2_file
    directory = f"{controller}/" if controller in engine.cgroups._hierarchy.v1 else ""
    ran = run(engine, "cat", f"/sys/fs/cgroup/{directory}{name}", **options)
    assert ran.code == 0, ran.err
    return ran.out.strip()


@pytest.mark.guest
@pytest.mark.needs("cgroup:cpu")
def test_cpu_quota_and_period(engine: Engine) -> None:
    options = {"cpu_period_us": 50_000, "cpu_quota_us": 25_000}
    assert _limit(engine, "cpu", "cpu.cfs_quota_us", "cpu.max", **options).split()[0] == "25000"
    assert _limit(engine, "cpu", "cpu.cfs_period_us", "cpu.max", **options).split()[-1] == "50000"


@pytest.mark.guest
@pytest.mark.needs("cgroup:memory")
def test_what_only_cgroup_v1_has_is_obeyed_there_and_discarded_with_a_warning_on_v2(engine: Engine) -> None:
    options = ContainerOptions(BUSYBOX, ("true",), memory_swappiness=7, oom_kill_disable=True, memory_bytes=1 << 26)
    made = engine.containers.create(options)
    if engine.cgroups.is_v1("memory"):
        assert made.warnings == ()
        text = _v1_memory(engine)
        assert text.split() == ["7", "oom_kill_disable", "1"]
    else:
        assert len(made.warnings) == 2
        assert (made.options.memory_swappiness, made.options.oom_kill_disable) == (-1, False)


def _v1_memory(engine: Engine) -> str:
    script = "cd /sys/fs/cgroup/memory; cat memory.swappiness; grep oom_kill_disable memory.oom_control"
    return sh(engine, script, memory_swappiness=7, oom_kill_disable=True, memory_bytes=1 << 26).out


def test_oom_killer_off_without_a_limit_is_warned_of(engine: Engine) -> None:
    made = engine.containers.create(ContainerOptions(BUSYBOX, ("true",), oom_kill_disable=True))
    assert any("OOM" in warning or "Oom" in warning for warning in made.warnings)


@pytest.mark.guest
def test_real_time_that_is_not_there_to_give_is_refused_when_it_is_created(engine: Engine) -> None:
    options = ContainerOptions(BUSYBOX, ("true",), cpu_rt_period_us=1_000_000, cpu_rt_runtime_us=999_999)
    with pytest.raises(UnsupportedError, match=r"kernel does not support CPU real-time scheduler|us of real-time CPU"):
        engine.containers.create(options)


@pytest.mark.needs("cgroup:blkio")
def test_weight_of_block_io(engine: Engine) -> None:
    made = engine.containers.create(ContainerOptions(BUSYBOX, ("true",), blkio_weight=300))
    if made.warnings:
        assert "Weight discarded" in made.warnings[0]
        assert made.options.blkio_weight == 0
    else:
        expected = "300" if engine.cgroups.is_v1("blkio") else "default 2930"
        assert _limit(engine, "blkio", "blkio.bfq.weight", "io.weight", blkio_weight=300).splitlines()[0] == expected


@pytest.mark.guest
def test_cgroup_parent_is_where_the_group_is_made(engine: Engine) -> None:
    made = engine.containers.create(ContainerOptions(BUSYBOX, ("sleep", "60"), cgroup_parent="/toolkit-test-parent"))
    made.start()
    try:
        with open(f"/proc/{made.pid}/cgroup") as file:
            paths = {line.strip().split(":", 2)[2] for line in file}
        assert f"/toolkit-test-parent/{made.id}" in paths
        assert made.pids() == [made.pid]
        assert collect(made.exec(ExecOptions(("true",)))).code == 0
        made.remove(force=True)
        assert not engine.cgroups.under("/toolkit-test-parent")._hierarchy.present(f"/toolkit-test-parent/{made.id}")
    finally:
        for directory in engine.cgroups._hierarchy.present("/toolkit-test-parent"):
            os.rmdir(directory)


@pytest.mark.parametrize("parent", ["../x", "/a/../b", "/a//b", "."])
def test_cgroup_parent_outside_of_the_tree_is_refused(engine: Engine, parent: str) -> None:
    with pytest.raises(InvalidError, match="cgroup"):
        engine.containers.create(ContainerOptions(BUSYBOX, ("true",), cgroup_parent=parent))


# Namespaces


@pytest.fixture
def donor(engine: Engine) -> Container:
    """Return a container whose ipc namespace others may join."""
    options = ContainerOptions(BUSYBOX, ("sleep", "60"), name="donor", ipc_mode="shareable", shm_size_bytes=3 << 20)
    container = engine.containers.create(options)
    container.start()
    return container


def test_ipc_of_another_container_comes_with_its_shared_memory(engine: Engine, donor: Container) -> None:
    ran = sh(
        engine,
        "echo hello > /dev/shm/x; df -k /dev/shm | tail -1; readlink /proc/self/ns/ipc",
        ipc_mode="container:donor",
    )
    assert ran.code == 0, ran.err
    assert ran.out.split()[1] == "3072"
    assert ran.out.split()[-1] == os.readlink(f"/proc/{donor.pid}/ns/ipc")
    assert collect(donor.exec(ExecOptions(("cat", "/dev/shm/x")))).out == "hello\n"
    assert "/dev/shm" not in _mounts_below(engine.paths.run)


def _mounts_below(path: str) -> str:
    with open("/proc/self/mounts") as file:
        return "".join(line for line in file if path in line)


def test_ipc_of_a_container_that_does_not_share_it_cannot_be_joined(engine: Engine) -> None:
    engine.containers.create(ContainerOptions(BUSYBOX, ("sleep", "60"), name="private")).start()
    with pytest.raises(InvalidError, match=r"can't join IPC of container .*: non-shareable IPC"):
        run(engine, "true", ipc_mode="container:private")


def test_borrowed_memory_is_never_what_a_symlink_says(engine: Engine, donor: Container) -> None:
    swap = "umount /dev/shm && rmdir /dev/shm && ln -s / /dev/shm"
    done = collect(donor.exec(ExecOptions(("sh", "-c", swap), privileged=True)))
    assert done.code == 0, done.err
    with pytest.raises(Exception, match="ELOOP"):
        run(engine, "ls", "/dev/shm", ipc_mode="container:donor")


def test_ids_of_a_user_namespace_are_mapped_as_asked(engine: Engine) -> None:
    ran = sh(
        engine,
        "cat /proc/self/uid_map /proc/self/gid_map",
        userns_mode="private",
        uid_map=(IdRange(0, 300_000, 1000), IdRange(1000, 400_000, 10)),
    )
    assert [line.split() for line in ran.out.splitlines()] == [["0", "300000", "1000"], ["1000", "400000", "10"]] * 2


@pytest.mark.parametrize("ids", [(), (IdRange(0, 300_000, 2000),)])
def test_user_namespace_of_another_container_comes_with_its_id_maps(engine: Engine, ids: tuple[IdRange, ...]) -> None:
    donor = engine.containers.create(
        ContainerOptions(BUSYBOX, ("sleep", "60"), name="users", userns_mode="private", uid_map=ids)
    )
    donor.start()
    script = "readlink /proc/self/ns/user; cat /proc/self/uid_map; touch /x; stat -c %u /x /bin; echo out > /dev/stdout"
    ran = sh(engine, script, userns_mode="container:users")
    theirs = collect(donor.exec(ExecOptions(("sh", "-c", "readlink /proc/self/ns/user; cat /proc/self/uid_map")))).out
    assert (ran.code, ran.out) == (0, f"{theirs}0\n0\nout\n"), ran.err
    assert os.readlink("/proc/self/ns/user") not in ran.out


def test_exec_goes_into_a_user_namespace_that_was_joined(engine: Engine) -> None:
    ids = (IdRange(0, 300_000, 2000),)
    for name, mode, uid_map in (("users", "private", ids), ("guest", "container:users", ())):
        options = ContainerOptions(BUSYBOX, ("sleep", "60"), name=name, userns_mode=mode, uid_map=uid_map)
        engine.containers.create(options).start()
    ran = collect(engine.containers.get("guest").exec(ExecOptions(("sh", "-c", "id -u; echo out > /dev/stdout"))))
    assert (ran.code, ran.out) == (0, "0\nout\n"), ran.err


def test_user_namespace_of_a_container_that_has_none_cannot_be_joined(engine: Engine, donor: Container) -> None:
    with pytest.raises(ConflictError, match="donor has no user namespace of its own to join"):
        run(engine, "true", userns_mode="container:donor")


def test_cgroup_namespace_of_another_container_can_be_joined(engine: Engine, donor: Container) -> None:
    theirs = os.readlink(f"/proc/{donor.pid}/ns/cgroup")
    assert run(engine, "readlink", "/proc/self/ns/cgroup", cgroupns_mode="container:donor").out.strip() == theirs


# Files and memory


def test_tmpfs_is_noexec_nosuid_nodev_unless_asked_otherwise(engine: Engine) -> None:
    options = _mount_options(engine, "")
    assert {"noexec", "nosuid", "nodev"} <= options
    chosen = _mount_options(engine, "exec,size=1m,mode=700,uid=5")
    assert {"nosuid", "nodev", "size=1024k", "mode=700", "uid=5"} <= chosen
    assert "noexec" not in chosen


def _mount_options(engine: Engine, text: str) -> set[str]:
    line = run(engine, "grep", " /t ", "/proc/mounts", tmpfs={"/t": text}).out
    return set(line.split()[3].split(","))


def test_tmpfs_option_that_does_not_exist_is_refused_in_dockers_words(engine: Engine) -> None:
    with pytest.raises(InvalidError, match=r'invalid tmpfs option \["bar"\]'):
        engine.containers.create(ContainerOptions(BUSYBOX, ("true",), tmpfs={"/t": "size=1m,bar"}))


def test_umask(engine: Engine) -> None:
    assert sh(engine, "umask", umask=0o077).out == "0077\n"


def test_time_zone(engine: Engine) -> None:
    assert run(engine, "date", "+%Z", timezone="Asia/Kolkata").out == "IST\n"
    assert run(engine, "date", "+%Z").out == "UTC\n"


@pytest.mark.parametrize("name", ["Mars/Olympus", "../../../etc/passwd", "/etc/localtime", "Europe"])
def test_time_zone_that_does_not_exist_is_refused(engine: Engine, name: str) -> None:
    with pytest.raises(NotFoundError, match="unknown or invalid time zone"):
        engine.containers.create(ContainerOptions(BUSYBOX, ("true",), timezone=name))


def test_annotations_are_in_the_bundle_and_in_inspect(engine: Engine) -> None:
    made = engine.containers.create(ContainerOptions(BUSYBOX, ("true",), annotations={"a.b": "c"}))
    made.start()
    made.wait()
    with open(f"{engine.paths.container(made.id)}/config.json") as file:
        assert '"annotations": {"a.b": "c"}' in file.read()
    assert made.inspect()["HostConfig"]["Annotations"] == {"a.b": "c"}


# Security


def _masks(engine: Engine, *options: str) -> set[str]:
    lines = run(engine, "cat", "/proc/mounts", security_opt=options).out.splitlines()
    return {line.split()[1] for line in lines if line.split()[1].startswith(("/proc/", "/sys/firmware", "/opt"))}


def test_system_paths_can_be_left_open(engine: Engine) -> None:
    assert {"/proc/keys", "/proc/sys"} <= _masks(engine)
    assert _masks(engine, "systempaths=unconfined") == set()
    assert _masks(engine, "unmask=ALL") == set()


def test_single_paths_can_be_unmasked_and_masked(engine: Engine) -> None:
    found = _masks(engine, "unmask=/proc/sys:/proc/k*", "mask=/proc/version:/etc/group")
    assert not {"/proc/sys", "/proc/keys"} & found
    assert {"/proc/irq", "/proc/version"} <= found
    assert run(engine, "cat", "/etc/group", security_opt=("mask=/etc/group",)).out == ""


def test_no_new_privileges_can_be_switched_off_by_word(engine: Engine) -> None:
    for option, value in (("no-new-privileges:true", "1"), ("no-new-privileges=false", "0")):
        out = run(engine, "grep", "NoNewPrivs", "/proc/self/status", security_opt=(option,)).out
        assert out.split()[1] == value


def test_builtin_seccomp_profile_is_the_default_one(engine: Engine) -> None:
    builtin = run(engine, "grep", "Seccomp:", "/proc/self/status", security_opt=("seccomp=builtin",))
    assert builtin.out.split() == ["Seccomp:", "2"]


@pytest.mark.parametrize("option", ["apparmor=mine", "label=type:mine"])
def test_option_of_a_security_module_is_ignored_where_there_is_none_and_refused_where_there_is(
    engine: Engine, option: str, tmp_path: os.PathLike[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(validate, "_MODULES", {"apparmor": f"{tmp_path}/no", "selinux": f"{tmp_path}/no"})
    assert run(engine, "true", security_opt=(option,)).code == 0
    monkeypatch.setattr(validate, "_MODULES", {"apparmor": str(tmp_path), "selinux": str(tmp_path)})
    with pytest.raises(UnsupportedError, match=option):
        run(engine, "true", security_opt=(option,))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"cpu_period_us": 5}, "CPU cfs period can not be less than 1ms"),
        ({"cpu_quota_us": 5}, "CPU cfs quota can not be less than 1ms"),
        ({"nano_cpus": 10**9, "cpu_quota_us": 5000}, "Nano CPUs and CPU Quota cannot both be set"),
        ({"nano_cpus": 10**9, "cpu_period_us": 5000}, "Nano CPUs and CPU Period cannot both be set"),
        ({"cpu_rt_period_us": 5, "cpu_rt_runtime_us": 6}, "runtime cannot be higher than cpu real-time period"),
        ({"cpu_shares": -5}, "CPU shares"),
        ({"memory_swappiness": 200}, "valid memory swappiness range is 0-100"),
        ({"memory_reservation_bytes": 5}, "minimum memory reservation allowed is 6MB"),
        ({"blkio_weight": 5}, "range of blkio weight is from 10 to 1000"),
        ({"blkio_weight_devices": (BlockDevice("/dev/x", 5),)}, "invalid weight for device /dev/x"),
        ({"security_opt": ("mask=rel",)}, "invalid --security-opt"),
        ({"security_opt": ("systempaths=foo",)}, "invalid --security-opt"),
        ({"isolation": "hyperv"}, "linux only supports 'default'"),
        ({"umask": 0o1000}, "invalid umask"),
        ({"uid_map": (IdRange(0, 1, 1),)}, "needs a user namespace"),
        ({"uid_map": (IdRange(1, 1, 1),), "userns_mode": "private"}, "leaves out id 0"),
        ({"privileged": True, "userns_mode": "private"}, "incompatible with user namespaces"),
    ],
)
def test_setting_that_means_nothing_is_refused(engine: Engine, options: dict[str, object], text: str) -> None:
    with pytest.raises(InvalidError, match=text):
        engine.containers.create(ContainerOptions(BUSYBOX, ("true",), **options))  # type: ignore[arg-type]  # bad on purpose


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"gpus": "all"}, r'could not select device driver "" with capabilities: \[\[gpu\]\]'),
        ({"kernel_memory_bytes": 1 << 20}, "no limit for its own memory"),
        ({"storage_opt": {"size": "5g"}}, "supported only for overlay over xfs"),
    ],
)
def test_what_this_machine_cannot_do_is_refused(engine: Engine, options: dict[str, object], text: str) -> None:
    with pytest.raises(UnsupportedError, match=text):
        engine.containers.create(ContainerOptions(BUSYBOX, ("true",), **options))  # type: ignore[arg-type]  # as above


def test_inspect_shows_every_field_of_the_host_that_docker_shows(engine: Engine) -> None:
    """The names are those that `docker inspect` 28 prints for a container without options (Windows' among them)."""
    docker = """AutoRemove Binds BlkioDeviceReadBps BlkioDeviceReadIOps BlkioDeviceWriteBps
    BlkioDeviceWriteIOps BlkioWeight BlkioWeightDevice CapAdd CapDrop Cgroup CgroupParent CgroupnsMode
    ConsoleSize ContainerIDFile CpuCount CpuPercent CpuPeriod CpuQuota CpuRealtimePeriod CpuRealtimeRuntime
    CpuShares CpusetCpus CpusetMems DeviceCgroupRules DeviceRequests Devices Dns DnsOptions DnsSearch
    ExtraHosts GroupAdd IOMaximumBandwidth IOMaximumIOps IpcMode Isolation Links LogConfig MaskedPaths Memory
    MemoryReservation MemorySwap MemorySwappiness NanoCpus NetworkMode OomKillDisable OomScoreAdj PidMode
    PidsLimit PortBindings Privileged PublishAllPorts ReadonlyPaths ReadonlyRootfs RestartPolicy Runtime
    SecurityOpt ShmSize UTSMode Ulimits UsernsMode VolumeDriver VolumesFrom"""
    made = engine.containers.create(ContainerOptions(BUSYBOX, ("true",)))
    assert set(docker.split()) - set(made.inspect()["HostConfig"]) == set()
