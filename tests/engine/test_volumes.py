"""Volumes and mounts in real containers: data that stays, what hides what, who goes with whom."""

import os
import shutil
import signal
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.engines import BUSYBOX, add_image, in_processes, run, sh
from tests.support.patience import wait_until
from toolkit.core.errors import (
    ConflictError,
    InvalidError,
    NotFoundError,
    StartError,
    StorageFullError,
    UnsupportedError,
)
from toolkit.engine.container import Container
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions, ExecOptions
from toolkit.volume.mount import BIND, TMPFS, VOLUME, MountSpec

pytestmark = pytest.mark.needs("root", "overlay", "busybox")
SLEEP = ("sleep", "600")


def made(engine: Engine, *command: str, **options: Any) -> Container:
    return engine.containers.create(ContainerOptions(BUSYBOX, command or SLEEP, **options))


def started(engine: Engine, **options: Any) -> Container:
    container = made(engine, **options)
    container.start()
    return container


def names(engine: Engine) -> list[str]:
    return [volume.name for volume in engine.volumes.list()]


def with_volume_image(engine: Engine, busybox_tree: str, tmp_path: Path, **config: Any) -> None:
    """Bring in the image `data`: busybox with something in /data, which is one of its volumes."""
    tree = tmp_path / "tree"
    shutil.copytree(busybox_tree, tree, symlinks=True, copy_function=os.link)
    (tree / "data/sub").mkdir(parents=True)
    (tree / "data/file").write_text("of the image\n")
    os.chown(tree / "data", 1000, 100)
    os.chmod(tree / "data", 0o2775)
    os.symlink("/etc/passwd", tree / "data/link")
    add_image(engine.images.store, "data", str(tree), **{"Volumes": {"/data": {}}, **config})


# Data stays


def test_named_volume_outlives_its_containers_and_is_shared(engine: Engine) -> None:
    assert sh(engine, "echo kept > /data/file", binds=("vol:/data",)).code == 0
    assert sh(engine, "cat /other/file", binds=("vol:/other:ro",)).out == "kept\n"
    assert names(engine) == ["vol"]
    assert sh(engine, "echo x > /other/file", binds=("vol:/other:ro",)).code == 1


def test_bind_mount_shows_the_hosts_files_and_makes_a_missing_directory(engine: Engine, tmp_path: Path) -> None:
    source = tmp_path / "new/er"
    assert sh(engine, "echo x > /m/file", binds=(f"{source}:/m",)).code == 0
    assert (source / "file").read_text() == "x\n"
    (tmp_path / "one").write_text("a file\n")
    assert sh(engine, "cat /etc/one", binds=(f"{tmp_path}/one:/etc/one",)).out == "a file\n"


def test_mount_of_a_missing_source_is_refused_and_makes_nothing(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="bind source path does not exist"):
        made(engine, mounts=(MountSpec(BIND, "/m", str(tmp_path / "none")),))
    assert not (tmp_path / "none").exists()
    assert engine.containers.list(all=True) == []


def test_source_that_has_gone_is_told_of_at_the_start(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "here").mkdir()
    container = made(engine, mounts=(MountSpec(BIND, "/m", str(tmp_path / "here")),))
    (tmp_path / "here").rmdir()
    with pytest.raises(NotFoundError, match="bind source path does not exist"):
        container.start()
    (tmp_path / "here").mkdir()
    container.start()


# What the image has


def test_new_volume_begins_with_what_the_image_has(engine: Engine, busybox_tree: str, tmp_path: Path) -> None:
    with_volume_image(engine, busybox_tree, tmp_path)
    script = "stat -c '%u %g %a %n' /v /v/sub; cat /v/file; readlink /v/link"
    shown = "1000 100 2775 /v\n0 0 755 /v/sub\nof the image\n/etc/passwd\n"
    run(engine, "true", image="data", binds=("vol:/data",))
    assert sh(engine, script, binds=("vol:/v",)).out == shown


def test_volume_that_has_something_keeps_it(engine: Engine, busybox_tree: str, tmp_path: Path) -> None:
    with_volume_image(engine, busybox_tree, tmp_path)
    sh(engine, "echo mine > /v/mine", binds=("vol:/v",))
    assert sh(engine, "ls /data", image="data", binds=("vol:/data",)).out == "mine\n"


def test_nocopy_begins_empty(engine: Engine, busybox_tree: str, tmp_path: Path) -> None:
    with_volume_image(engine, busybox_tree, tmp_path)
    assert sh(engine, "ls /data", image="data", binds=("vol:/data:nocopy",)).out == ""


def test_bind_mount_is_not_filled(engine: Engine, busybox_tree: str, tmp_path: Path) -> None:
    with_volume_image(engine, busybox_tree, tmp_path)
    assert sh(engine, "ls /data", image="data", binds=(f"{tmp_path}/empty:/data",)).out == ""


def test_volume_over_a_file_of_the_image_is_refused_and_nothing_is_left(engine: Engine) -> None:
    with pytest.raises(InvalidError, match="cannot mount volume over existing file, file exists /etc/passwd"):
        made(engine, volumes=("/etc/passwd",))
    assert engine.containers.list(all=True) == []
    assert names(engine) == []


# Volumes without a name


def test_volumes_of_the_image_and_of_v_go_with_rm_v(engine: Engine, busybox_tree: str, tmp_path: Path) -> None:
    with_volume_image(engine, busybox_tree, tmp_path)
    options = ContainerOptions("data", SLEEP, volumes=("/more",), binds=("named:/named",))
    container = engine.containers.create(options)
    shown = {mount["Destination"]: mount for mount in container.inspect()["Mounts"]}
    assert set(shown) == {"/data", "/more", "/named"}
    assert len(shown["/data"]["Name"]) == 64
    assert len(names(engine)) == 3
    container.remove(takes_volumes=True)
    assert names(engine) == ["named"]


def test_volumes_stay_without_rm_v_and_go_with_rm(engine: Engine, busybox_tree: str, tmp_path: Path) -> None:
    with_volume_image(engine, busybox_tree, tmp_path)
    engine.containers.create(ContainerOptions("data", SLEEP)).remove()
    assert len(names(engine)) == 1
    assert sh(engine, "ls /data", image="data").out == "file\nlink\nsub\n"  # --rm
    assert len(names(engine)) == 1
    detached = engine.containers.create(ContainerOptions("data", ("true",), auto_remove=True))
    detached.start()
    with suppress(NotFoundError):  # it has gone already
        detached.wait()
    engine.recovery.run()
    assert len(names(engine)) == 1
    removed, _size = engine.volumes.prune()
    assert len(removed) == 1
    assert names(engine) == []


def test_tmpfs_and_bind_go_before_a_volume_of_the_image(engine: Engine, busybox_tree: str, tmp_path: Path) -> None:
    with_volume_image(engine, busybox_tree, tmp_path)
    assert "tmpfs" in sh(engine, "grep ' /data ' /proc/mounts", image="data", tmpfs={"/data": ""}).out
    sh(engine, "true", image="data", binds=(f"{tmp_path}/empty:/data",))
    assert names(engine) == []


# --volumes-from


def test_volumes_from_gives_the_same_mounts(engine: Engine, busybox_tree: str, tmp_path: Path) -> None:
    with_volume_image(engine, busybox_tree, tmp_path)
    first = engine.containers.create(ContainerOptions("data", SLEEP, name="first", binds=(f"{tmp_path}/b:/b",)))
    assert sh(engine, "echo 1 > /data/new; echo 2 > /b/new; cat /data/file", volumes_from=("first",)).out
    assert (tmp_path / "b/new").read_text() == "2\n"
    assert (
        sh(engine, "cat /data/new; echo 3 > /data/no || echo refused", volumes_from=("first:ro",)).out == "1\nrefused\n"
    )
    second = made(engine, volumes_from=("first",))
    first.remove(takes_volumes=True)
    assert len(names(engine)) == 1  # the second has it still
    second.remove(takes_volumes=True)
    assert names(engine) == []


def test_mount_that_is_asked_for_goes_before_another_containers(engine: Engine) -> None:
    made(engine, name="first", binds=("one:/m",))
    container = made(engine, volumes_from=("first",), binds=("two:/m",))
    assert [mount["Name"] for mount in container.inspect()["Mounts"]] == ["two"]


# What is asked for twice, and where


def test_two_mounts_for_one_place_are_refused(engine: Engine) -> None:
    for options in (
        {"binds": ("one:/m", "two:/m/")},
        {"binds": ("one:/m",), "tmpfs": {"/m": ""}},
        {"binds": ("one:/m",), "mounts": (MountSpec(TMPFS, "/m"),)},
    ):
        with pytest.raises(InvalidError, match="Duplicate mount point: /m"):
            made(engine, **options)  # type: ignore[arg-type]  # options by their names
    assert names(engine) == []


def test_inner_mount_lies_in_the_outer_whatever_their_order(engine: Engine) -> None:
    binds = ("inner:/a/b/c", "outer:/a")
    assert sh(engine, "echo x > /a/b/c/file; ls /a/b", binds=binds).out == "c\n"
    assert sh(engine, "ls /m", binds=("inner:/m",)).out == "file\n"
    assert sh(engine, "ls /m", binds=("outer:/m",)).out == "b\n"


def test_volume_takes_the_place_of_the_engines_own_mount(engine: Engine) -> None:
    assert sh(engine, "echo x > /dev/shm/file", binds=("shm:/dev/shm",)).code == 0
    assert sh(engine, "ls /m", binds=("shm:/m",)).out == "file\n"
    seen = sh(engine, "cat /etc/hosts; ls /etc/hostname", binds=("etc:/etc",)).out
    assert "localhost" in seen
    assert "/etc/hostname" in seen


# Flags of mounts


def test_read_only_bind_mount_is_read_only_all_the_way_down(engine: Engine, tmp_path: Path) -> None:
    """What docker calls recursive: also what is mounted below the source, here a tmpfs in a volume."""
    engine.volumes.create("deep", options={"type": "tmpfs", "device": "tmpfs"})
    holder = started(engine, binds=("deep:/m",))  # which keeps it mounted below the directory of volumes
    source = engine.paths.volumes
    script = "touch /m/deep/_data/x && echo written"
    assert sh(engine, script, binds=(f"{source}:/m",)).out == "written\n"
    assert "Read-only" in sh(engine, script, binds=(f"{source}:/m:ro",)).err
    flat = MountSpec(BIND, "/m", source, read_only=True, recursion="writable")
    assert sh(engine, script, mounts=(flat,)).out == "written\n"
    hidden = MountSpec(BIND, "/m", source, recursion="disabled")
    assert sh(engine, "ls /m/deep/_data", mounts=(hidden,)).out == ""
    holder.remove(force=True)


def test_tmpfs_mount_has_its_size_and_mode(engine: Engine) -> None:
    spec = MountSpec(TMPFS, "/t", tmpfs_size_bytes=65536, tmpfs_mode=0o700)
    out = sh(engine, "stat -c %a /t; df -k /t | tail -1; grep ' /t ' /proc/mounts", mounts=(spec,)).out.splitlines()
    assert out[0] == "700"
    assert out[1].split()[1] == "64"
    assert {"noexec", "nosuid", "nodev"} <= set(out[2].split()[3].split(","))
    assert names(engine) == []


def test_subpath_shows_a_part_of_the_volume(engine: Engine) -> None:
    sh(engine, "mkdir -p /v/a/b; echo x > /v/a/b/file; ln -s a/b /v/in; ln -s /etc /v/out", binds=("vol:/v",))
    spec = MountSpec(VOLUME, "/m", "vol", subpath="a/b")
    assert sh(engine, "ls /m", mounts=(spec,)).out == "file\n"
    assert sh(engine, "ls /m", mounts=(spec._replace(subpath="in"),)).out == "file\n"
    assert sh(engine, "cat /m", mounts=(spec._replace(subpath="a/b/file"),)).out == "x\n"
    for missing in ("none", "out"):  # which leads to /etc of the volume
        with pytest.raises(NotFoundError, match=f"cannot access path {missing} of the volume"):
            sh(engine, "true", mounts=(spec._replace(subpath=missing),))
    assert sh(engine, "ls /m", mounts=(spec,), userns_mode="private").out == "file\n"


# Owners


def test_volume_has_the_same_owners_in_a_user_namespace(engine: Engine, busybox_tree: str, tmp_path: Path) -> None:
    with_volume_image(engine, busybox_tree, tmp_path)
    script = "echo x > /data/new; stat -c '%u %g' /data /data/new /data/file"
    owners = "1000 100\n0 100\n0 0\n"  # the directory hands its group on
    assert sh(engine, script, image="data", binds=("vol:/data",), userns_mode="private").out == owners
    assert sh(engine, "stat -c '%u %g' /data /data/new /data/file", binds=("vol:/data",)).out == owners
    assert os.stat(f"{engine.volumes.get('vol').mountpoint}/new").st_uid == 0


def test_idmap_shows_the_hosts_owner_as_the_containers(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    os.chown(tmp_path / "src", 1234, 1234)
    spec = MountSpec(BIND, "/m", str(tmp_path / "src"), idmap="uids=1234-0-1")
    assert sh(engine, "stat -c '%u %g' /m; echo x > /m/new", mounts=(spec,)).out == "0 0\n"
    assert os.stat(tmp_path / "src/new").st_uid == 1234
    assert sh(engine, "stat -c %u /m; touch /m/2", mounts=(spec,), userns_mode="private").out == "0\n"
    assert os.stat(tmp_path / "src/2").st_uid == 1234
    plain = spec._replace(idmap="container")
    with pytest.raises(InvalidError, match="needs a user namespace"):
        sh(engine, "true", mounts=(plain,))
    os.chown(tmp_path / "src", 0, 0)
    assert sh(engine, "stat -c %u /m", mounts=(plain,), userns_mode="private").out == "0\n"


# What the others say


def test_inspect_shows_mounts_as_docker_does(engine: Engine, tmp_path: Path) -> None:
    spec = MountSpec(BIND, "/s", str(tmp_path), read_only=True, propagation="rslave")
    container = made(engine, binds=("vol:/v", f"{tmp_path}:/b:ro"), mounts=(spec, MountSpec(TMPFS, "/t")))
    shown = container.inspect()
    assert shown["HostConfig"]["Binds"] == ["vol:/v", f"{tmp_path}:/b:ro"]
    assert shown["HostConfig"]["Mounts"][0] == {
        "Type": "bind",
        "Source": str(tmp_path),
        "Target": "/s",
        "ReadOnly": True,
        "BindOptions": {"Propagation": "rslave"},
    }
    source = f"{engine.paths.volumes}/vol/_data"
    volume = {"Type": "volume", "Name": "vol", "Source": source, "Destination": "/v", "Driver": "local"}
    bind = {"Type": "bind", "Source": str(tmp_path), "Destination": "/b", "Mode": "ro", "RW": False}
    assert shown["Mounts"][:2] == [
        {**volume, "Mode": "z", "RW": True, "Propagation": ""},
        {**bind, "Propagation": "rprivate"},
    ]
    assert shown["Mounts"][3]["Type"] == "tmpfs"


def test_diff_and_export_keep_to_the_layer(engine: Engine, tmp_path: Path) -> None:
    container = started(engine, binds=("vol:/data",))
    run_in(container, "echo x > /data/file; echo y > /own")
    assert {change.path for change in container.files.changes()} == {"/data", "/own"}
    with open(tmp_path / "out.tar", "wb") as out:
        container.files.export(out)
    import tarfile

    with tarfile.open(tmp_path / "out.tar") as tar:
        assert "own" in tar.getnames()
        assert "data/file" not in tar.getnames()


@pytest.mark.parametrize("is_running", [True, False])
def test_cp_reaches_what_is_in_the_volume(engine: Engine, tmp_path: Path, *, is_running: bool) -> None:
    import io
    import tarfile

    sh(engine, "echo x > /v/there", binds=("vol:/v",))
    container = (started if is_running else made)(engine, binds=("vol:/data", "vol2:/ro:ro"))
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(tarfile.TarInfo("new"), None)
    container.files.put("/data", io.BytesIO(buffer.getvalue()))
    out = io.BytesIO()
    container.files.get("/data/there", out)
    assert b"x\n" in out.getvalue()
    assert sorted(os.listdir(engine.volumes.get("vol").mountpoint)) == ["new", "there"]
    assert not os.path.exists(f"{container.directory}/upper/data/new")
    with pytest.raises(ConflictError):
        container.files.put("/ro", io.BytesIO(buffer.getvalue()))


def run_in(container: Container, script: str) -> None:
    attachment = container.exec(ExecOptions(("sh", "-c", script)))
    with attachment:
        for _ in attachment:
            pass
    assert attachment.exit_code == 0


def test_events_tell_of_a_volumes_life(engine: Engine) -> None:
    assert sh(engine, "true", binds=("vol:/data:ro",)).code == 0
    kept = made(engine, "true", binds=("vol:/data",))
    kept.start()
    kept.wait()
    kept.remove()
    engine.volumes.remove("vol")
    told = [event for event in engine.events.past() if event["Type"] == "volume"]
    assert [event["Action"] for event in told] == ["create", "mount", "unmount", "mount", "unmount", "destroy"]
    assert told[0]["Actor"] == {"ID": "vol", "Attributes": {"driver": "local"}}
    assert told[1]["Actor"]["Attributes"]["read/write"] == "false"
    assert told[4]["Actor"]["Attributes"] == {"container": kept.id, "driver": "local"}


def test_plan_explains_each_mount(engine: Engine, tmp_path: Path) -> None:
    from toolkit.runtime.steps import about

    container = made(engine, binds=("vol:/v", f"{tmp_path}:/b"), volumes=("/a",))
    whys = {step.destination: about(step).why for step in container.plan() if hasattr(step, "destination")}
    assert "vol" in whys["/v"]
    assert "host" in whys["/b"]
    assert "outlives" in whys["/a"]


# Removing


def test_volume_in_use_names_its_containers(engine: Engine) -> None:
    container = made(engine, name="web", binds=("vol:/data",))
    with pytest.raises(ConflictError) as caught:
        engine.volumes.remove("vol")
    assert caught.value.message == f"remove vol: volume is in use - [{container.id}]"
    assert "web" in caught.value.hint
    container.remove(takes_volumes=True)
    engine.volumes.remove("vol")
    assert os.listdir(engine.paths.volumes) == []
    with pytest.raises(NotFoundError, match="get vol: no such volume"):
        engine.volumes.remove("vol")
    engine.volumes.remove("vol", force=True)


def test_prune_takes_those_that_nobody_named_and_nobody_uses(engine: Engine) -> None:
    unused, used = engine.volumes.create(), engine.volumes.create()
    engine.volumes.create("named")
    made(engine, binds=(f"{used.name}:/data",))
    assert engine.volumes.prune()[0] == [unused.name]
    assert engine.volumes.prune(takes_named=True)[0] == ["named"]
    assert names(engine) == [used.name]


@pytest.mark.parametrize(
    ("name", "options", "complaint"),
    [
        ("x", {}, "volume name is too short"),
        ("a/b", {}, "includes invalid characters for a local volume name"),
        ("..", {}, "includes invalid characters"),
        ("vol", {"foo": "1"}, 'create vol: invalid option: "foo"'),
        ("vol", {"type": "tmpfs"}, 'create vol: missing required option: "device"'),
        ("vol", {"device": "tmpfs"}, 'create vol: missing required option: "type"'),
        ("vol", {"o": "ro"}, 'create vol: missing required option: "device"'),
    ],
)
def test_volume_that_cannot_be_is_refused(engine: Engine, name: str, options: dict[str, str], complaint: str) -> None:
    with pytest.raises(InvalidError) as caught:
        engine.volumes.create(name, options=options)
    assert complaint in str(caught.value)
    assert names(engine) == []


# Local volumes that are mounted


def test_tmpfs_volume_is_shared_while_it_is_used_and_gone_after(engine: Engine) -> None:
    volume = engine.volumes.create("mem", options={"type": "tmpfs", "device": "tmpfs", "o": "size=64k,mode=700"})
    first = started(engine, binds=("mem:/m",))
    run_in(first, "echo x > /m/file")
    assert sh(engine, "cat /m/file; df -k /m | tail -1", binds=("mem:/m",)).out.split()[:3] == ["x", "tmpfs", "64"]
    assert os.listdir(volume.mountpoint) == ["file"]
    first.stop(0)
    engine.recovery.run()
    assert os.listdir(volume.mountpoint) == []
    assert volume.mountpoint not in Path("/proc/self/mountinfo").read_text()
    assert os.listdir(engine.paths.volume_claims) == []


def test_volume_in_memory_is_filled_at_each_first_mount(engine: Engine, busybox_tree: str, tmp_path: Path) -> None:
    with_volume_image(engine, busybox_tree, tmp_path)
    engine.volumes.create("mem", options={"type": "tmpfs", "device": "tmpfs"})
    for _ in range(2):
        assert sh(engine, "cat /data/file; ls -a /data", image="data", binds=("mem:/data",)).out == (
            "of the image\n.\n..\nfile\nlink\nsub\n"
        )


def test_size_limits_a_volume_in_memory(engine: Engine) -> None:
    engine.volumes.create("mem", options={"type": "tmpfs", "device": "tmpfs", "size": "64k"})
    ran = sh(engine, "dd if=/dev/zero of=/m/big bs=1k count=100", binds=("mem:/m",))
    assert "No space left" in ran.err
    with pytest.raises(UnsupportedError, match="quota"):
        engine.volumes.create("disk", options={"size": "64k"})


def test_bind_volume_shows_a_directory_of_the_host(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    options = {"type": "none", "o": "bind,ro", "device": str(tmp_path / "src")}
    engine.volumes.create("bound", options=options)
    (tmp_path / "src/file").write_text("x")
    ran = sh(engine, "cat /m/file; touch /m/new", binds=("bound:/m",))
    assert ran.out == "x"
    assert "Read-only" in ran.err


def test_volume_that_cannot_be_mounted_fails_the_start_and_leaves_nothing(engine: Engine) -> None:
    engine.volumes.create("bad", options={"type": "nosuchfs", "device": "x"})
    container = made(engine, binds=("bad:/m", "good:/g"))
    with pytest.raises(StartError, match="error while mounting volume"):
        container.start()
    assert container.status == "created"
    assert os.listdir(engine.paths.volume_claims) == []
    assert os.listdir(engine.paths.running) == []
    container.remove()
    engine.volumes.remove("bad")


def test_mounted_volume_goes_when_its_container_and_all_of_us_are_killed(engine: Engine) -> None:
    volume = engine.volumes.create("mem", options={"type": "tmpfs", "device": "tmpfs"})
    container = started(engine, binds=("mem:/m",))
    status = container.read_status()
    monitor = int(Path(f"/proc/{status.pid}/status").read_text().split("PPid:")[1].split()[0])
    os.kill(monitor, signal.SIGKILL)
    with pytest.raises(ConflictError):
        engine.volumes.remove("mem")
    wait_until(lambda: container.status == "exited", 10)
    assert volume.mountpoint not in Path("/proc/self/mountinfo").read_text()
    assert os.listdir(engine.paths.volume_claims) == []


# Crashes, and two at once


def test_two_that_make_the_same_volume_have_one(engine: Engine, busybox_tree: str, tmp_path: Path) -> None:
    with_volume_image(engine, busybox_tree, tmp_path)

    def make(mine: Engine, number: int) -> int:
        options = ContainerOptions("data", ("cat", "/data/file"), binds=("vol:/data",), name=f"c{number}")
        mine.containers.create(options)
        return 0

    assert in_processes(engine, 4, make) == [0, 0, 0, 0]
    assert names(engine) == ["vol"]
    assert sorted(os.listdir(engine.volumes.get("vol").mountpoint)) == ["file", "link", "sub"]
    assert os.listdir(f"{engine.paths.volumes}/vol") == ["_data"]
    assert len(engine.volumes.get("vol").users()) == 4


@pytest.mark.parametrize("last", ["mkdir", "insert", "entry", "rename"])
def test_killed_while_it_makes_volumes_the_start_does_the_rest(
    engine: Engine, busybox_tree: str, tmp_path: Path, last: str
) -> None:
    with_volume_image(engine, busybox_tree, tmp_path)

    def die(mine: Engine, _number: int) -> int:
        from toolkit.linux import copytree
        from toolkit.volume import fill, store

        def kill(*_args: object, **_options: object) -> None:
            os.kill(os.getpid(), signal.SIGKILL)

        patch = pytest.MonkeyPatch()
        if last == "mkdir":
            patch.setattr(store.Store, "make_place", kill)
        elif last == "insert":
            patch.setattr(mine.state, "insert", _after_first(mine.state.insert, kill))
        elif last == "entry":
            patch.setattr(copytree, "copy_attributes", kill)
        else:
            patch.setattr(fill.Place, "_move", kill)
        mine.containers.create(ContainerOptions("data", ("cat", "/data/file"), name="web", binds=("vol:/data",)))
        return 0

    assert in_processes(engine, 1, die) == [-signal.SIGKILL]
    web = engine.containers.get("web")
    data = f"{engine.paths.volumes}/vol/_data"
    assert not os.path.exists(data) or os.listdir(data) == []
    web.start()
    assert web.wait() == 0
    assert sorted(os.listdir(data)) == ["file", "link", "sub"]
    assert os.stat(data).st_uid == 1000
    assert os.listdir(f"{engine.paths.volumes}/vol") == ["_data"]


def _after_first(real: Any, then: Any) -> Any:
    count = 0

    def wrapped(*args: Any) -> Any:
        nonlocal count
        count += 1
        return real(*args) if count == 1 else then()

    return wrapped


def test_place_whose_maker_was_killed_goes_with_the_next_prune(engine: Engine) -> None:
    def die(mine: Engine, _number: int) -> int:
        pytest.MonkeyPatch().setattr(mine.state, "insert", lambda *_args: os.kill(os.getpid(), signal.SIGKILL))
        mine.volumes.create("vol")
        return 0

    assert in_processes(engine, 1, die) == [-signal.SIGKILL]
    assert os.listdir(engine.paths.volumes) == ["vol"]
    engine.volumes.create("other")
    engine.volumes.prune()
    assert os.listdir(engine.paths.volumes) == ["other"]


def test_killed_while_it_removes_a_volume_the_next_removal_ends_it(engine: Engine) -> None:
    engine.volumes.create("vol")

    def die(mine: Engine, _number: int) -> int:
        patch = pytest.MonkeyPatch()
        patch.setattr(mine.state, "delete", lambda *_args: os.kill(os.getpid(), signal.SIGKILL))
        mine.volumes.remove("vol")
        return 0

    assert in_processes(engine, 1, die) == [-signal.SIGKILL]
    assert names(engine) == ["vol"]
    engine.recovery.run()
    assert os.listdir(engine.paths.trash) == []
    assert sh(engine, "ls /m", binds=("vol:/m",)).code == 0  # it is there again, empty
    engine.volumes.remove("vol")
    assert names(engine) == []


def test_container_whose_engine_is_killed_before_its_start_takes_its_volumes_along(engine: Engine) -> None:
    def die(mine: Engine, _number: int) -> int:
        mine.containers.create(ContainerOptions(BUSYBOX, SLEEP, volumes=("/a",), auto_remove=True), will_start=True)
        os.kill(os.getpid(), signal.SIGKILL)
        return 0

    assert in_processes(engine, 1, die) == [-signal.SIGKILL]
    assert len(names(engine)) == 1
    engine.recovery.run()
    assert names(engine) == []


def test_full_disk_leaves_no_container_and_an_empty_volume(
    engine: Engine, busybox_tree: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from toolkit.linux import copytree

    with_volume_image(engine, busybox_tree, tmp_path)
    engine.volumes.create("vol")

    def full(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(copytree, "_file", full)
    with pytest.raises(StorageFullError, match="no space left for the volume vol"):
        engine.containers.create(ContainerOptions("data", SLEEP, binds=("vol:/data",)))
    assert engine.containers.list(all=True) == []
    assert os.listdir(f"{engine.paths.volumes}/vol") == ["_data"]
    assert os.listdir(f"{engine.paths.volumes}/vol/_data") == []


# Connections to the host's mounts


@pytest.mark.parametrize(("mode", "is_seen"), [("rprivate", False), ("rslave", True), ("rshared", True)])
def test_what_is_mounted_outside_later_is_seen_where_that_was_asked_for(
    engine: Engine, tmp_path: Path, mode: str, *, is_seen: bool
) -> None:
    from toolkit.linux import mount

    source = tmp_path / "shared"
    source.mkdir()
    mount.mount("tmpfs", str(source), "tmpfs")
    try:
        mount.mount(None, str(source), None, mount.MS_SHARED)
        (source / "in").mkdir()
        container = started(engine, binds=(f"{source}:/m:{mode}",))
        mount.mount("tmpfs", str(source / "in"), "tmpfs")
        seen = Path(f"/proc/{container.pid}/mountinfo").read_text()
        mount.umount(str(source / "in"), mount.MNT_DETACH)
        container.remove(force=True)
        assert (" /m/in " in seen) == is_seen
        assert engine.paths.rootfs not in Path("/proc/self/mountinfo").read_text()
    finally:
        mount.umount(str(source), mount.MNT_DETACH)


def test_connection_to_a_private_mount_is_refused(engine: Engine, tmp_path: Path) -> None:
    from toolkit.linux import mount

    source = tmp_path / "private"
    source.mkdir()
    mount.mount("tmpfs", str(source), "tmpfs")
    try:
        mount.mount(None, str(source), None, mount.MS_PRIVATE)
        container = made(engine, binds=(f"{source}:/m:rshared",))
        with pytest.raises(InvalidError, match=f"path {source} is mounted on {source} but it is not a shared mount"):
            container.start()
    finally:
        mount.umount(str(source), mount.MNT_DETACH)
