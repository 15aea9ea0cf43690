"""Ways out of a container that must not work; each is seen to work where its defence is off."""

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.support.engines import BUSYBOX, add_image, collect, run, sh
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions, ExecOptions
from toolkit.runtime.steps import PivotRoot, SetPropagation

pytestmark = pytest.mark.needs("root", "overlay", "busybox")


# Out through the root


def test_chroot_and_dotdot_lead_nowhere(engine: Engine) -> None:
    # The classic: a directory opened before chroot is outside of the new root.  busybox's chroot keeps its directory.
    script = "mkdir -p /x && cd / && chroot /x /nonesuch 2>/dev/null; cd ../../../../..; ls -di . /; ls /"
    ran = sh(engine, script)
    inodes = [line.split()[0] for line in ran.out.splitlines()[:2]]
    assert inodes[0] == inodes[1]
    assert "bin" in ran.out


def test_no_mount_of_the_host_is_left_below_the_root(engine: Engine) -> None:
    mounts = run(engine, "cat", "/proc/self/mountinfo").out
    points = [line.split()[4] for line in mounts.splitlines()]
    assert points[0] == "/"
    assert all(point.startswith(("/proc", "/dev", "/sys", "/etc/")) for point in points[1:])
    with open("/proc/self/mountinfo") as file:
        ours = {line.split()[0] for line in file}
    assert ours.isdisjoint(line.split()[0] for line in mounts.splitlines())


def test_without_pivot_root_the_host_would_still_be_there(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = engine.launcher._plan

    def without(*args: object, gated: bool) -> object:
        made = plan(*args, gated=gated)  # type: ignore[arg-type]
        return tuple(step for step in made if not isinstance(step, PivotRoot))

    monkeypatch.setattr(engine.launcher, "_plan", without)
    host = run(engine, "/bin/cat", "/proc/self/mountinfo", security_opt=("seccomp=unconfined",)).out
    assert engine.paths.root in host


# The kernel's own files


@pytest.mark.parametrize(
    "path",
    ["/proc/sys/kernel/panic", "/proc/sys/vm/swappiness", "/proc/irq/default_smp_affinity", "/sys/kernel/mm/ksm/run"],
)
def test_kernel_settings_cannot_be_written(engine: Engine, path: str) -> None:
    if not os.path.exists(path):
        pytest.skip(f"this kernel has no {path}")
    with open(path) as file:
        value = file.read().strip()
    ran = sh(engine, f"echo '{value}' > {path}")
    assert ran.code != 0
    assert "Read-only file system" in ran.err
    assert sh(engine, f"echo '{value}' > {path}", privileged=True).code == 0


def test_proc_cannot_be_made_writable_again(engine: Engine) -> None:
    ran = sh(engine, "mount -o remount,rw,bind /proc/sys; umount /proc/sys; echo 1 > /proc/sys/kernel/panic")
    assert ran.code != 0
    assert "Operation not permitted" in ran.err or "permission denied" in ran.err


def test_masked_directories_are_empty_and_files_are_null(engine: Engine) -> None:
    assert run(engine, "ls", "/proc/acpi", "/sys/firmware").out.replace("\n", "") == "/proc/acpi:/sys/firmware:"
    assert run(engine, "cat", "/proc/timer_list").out == ""


# Devices


def _disk() -> str:
    """Return a block device from which a byte can be read; an idle zram or loop device has none."""
    for name in sorted(os.listdir("/sys/block")):
        with suppress(OSError), open(f"/dev/{name}", "rb", buffering=0) as disk:
            if disk.read(1):
                return disk.name
    return ""


@pytest.mark.needs("cgroup:devices")
def test_a_disk_node_can_be_made_but_not_opened(engine: Engine) -> None:
    disk = _disk()
    if not disk:
        pytest.skip("this machine has no block device")
    device = os.stat(disk).st_rdev
    script = f"mknod /disk b {os.major(device)} {os.minor(device)} && head -c 1 /disk | wc -c"
    ran = sh(engine, script)
    assert ran.out.strip() == "0"
    assert "Operation not permitted" in ran.err
    assert sh(engine, script, privileged=True).out.strip() == "1"


def test_dev_of_the_host_is_not_there(engine: Engine) -> None:
    assert run(engine, "ls", "/dev/kmsg").code != 0


# An image that wants its mounts elsewhere (CVE-2021-30465 and its kind)


@pytest.fixture
def victim(tmp_path: Path) -> Iterator[Path]:
    """Return a directory of the host's that an image points to."""
    directory = tmp_path / "victim"
    directory.mkdir()
    (directory / "file").write_text("untouched")
    yield directory
    assert sorted(path.name for path in directory.iterdir()) == ["file"]
    assert (directory / "file").read_text() == "untouched"


@pytest.mark.parametrize("target", ["proc", "dev", "sys", "etc", "var"])
@pytest.mark.parametrize("form", ["absolute", "relative"])
def test_symlinked_mount_target_stays_inside(
    engine: Engine, busybox_tree: str, victim: Path, tmp_path: Path, target: str, form: str
) -> None:
    tree = tmp_path / "tree"
    os.system(f"cp -al {busybox_tree} {tree}")  # noqa: S605 - our own paths
    os.system(f"rm -rf {tree}/{target}")  # noqa: S605 - our own paths
    os.symlink(str(victim) if form == "absolute" else "../" * 20 + str(victim).lstrip("/"), tree / target)
    add_image(engine.images.store, "evil", str(tree))
    options = {"tmpfs": {"/var": ""}} if target == "var" else {}
    before = _mounts(engine)
    ran = sh(engine, "/bin/true", image="evil", env=("PATH=/bin",), **options)
    assert ran.code == 0
    assert _mounts(engine) == before


def _mounts(engine: Engine) -> list[str]:
    """Return the host's mounts that are ours, or are called as the containers' are."""
    base = os.path.dirname(os.path.dirname(engine.paths.root))
    with open("/proc/self/mountinfo") as file:
        return [line for line in file if base in line or " /m " in line]


@pytest.mark.parametrize("name", ["hosts", "hostname", "resolv.conf"])
def test_symlinked_file_target_is_not_written_through(
    engine: Engine, busybox_tree: str, victim: Path, tmp_path: Path, name: str
) -> None:
    tree = tmp_path / "tree"
    os.system(f"cp -al {busybox_tree} {tree}")  # noqa: S605 - our own paths
    (tree / "etc" / name).unlink(missing_ok=True)
    os.symlink(victim / "new", tree / "etc" / name)
    add_image(engine.images.store, "evil", str(tree))
    ran = run(engine, "cat", f"/etc/{name}", image="evil")
    assert ran.code == 0
    assert ran.out


def test_passwd_that_is_a_symlink_to_the_host_is_not_read(engine: Engine, busybox_tree: str, tmp_path: Path) -> None:
    secret = tmp_path / "passwd"
    secret.write_text("spy:x:4242:4242::/:/bin/sh\n")
    tree = tmp_path / "tree"
    os.system(f"cp -al {busybox_tree} {tree}")  # noqa: S605 - our own paths
    (tree / "etc" / "passwd").unlink()
    os.symlink(secret, tree / "etc" / "passwd")
    add_image(engine.images.store, "evil", str(tree))
    with pytest.raises(Exception, match="unable to find user spy"):
        run(engine, "id", image="evil", user="spy")


def test_layer_whose_working_directory_is_a_symlink_makes_nothing_on_the_host(
    engine: Engine, busybox_tree: str, victim: Path, tmp_path: Path
) -> None:
    tree = tmp_path / "tree"
    os.system(f"cp -al {busybox_tree} {tree}")  # noqa: S605 - our own paths
    os.symlink(victim, tree / "work")
    add_image(engine.images.store, "evil", str(tree))
    for read_only in (False, True):
        ran = run(engine, "pwd", image="evil", working_dir="/work/deep", read_only=read_only)
        assert ran.out.strip().endswith("/deep")


# What must not leak in


def test_set_user_id_program_gives_root_only_without_no_new_privileges(engine: Engine) -> None:
    script = "cp /bin/busybox /su && chmod 4755 /su && exec su ada -c '/su root -c true'"
    assert "must be suid" not in sh(engine, script).err
    assert "must be suid" in sh(engine, script, security_opt=("no-new-privileges",)).err


def test_environment_and_descriptors_of_the_engine_stay_outside(
    engine: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "s3cret")
    secret = os.open("/etc/passwd", os.O_RDONLY)
    os.set_inheritable(secret, True)  # noqa: FBT003 - the standard library's own signature
    try:
        ran = sh(engine, "env; cat /proc/1/environ; ls -l /proc/self/fd /proc/1/fd")
    finally:
        os.close(secret)
    assert "s3cret" not in ran.out
    assert "passwd" not in ran.out


def test_program_file_of_the_engine_cannot_be_reached_through_proc(engine: Engine) -> None:
    # CVE-2019-5736: /proc/self/exe of whoever enters the container must not be the engine's own binary.
    container = engine.containers.create(ContainerOptions(BUSYBOX, ("sleep", "60")))
    container.start()
    script = "for pid in /proc/[0-9]*; do readlink $pid/exe; done"
    seen = set(collect(container.exec(ExecOptions(("sh", "-c", script)))).out.split())
    assert seen == {"/bin/busybox"}


# Mounts


def test_mounts_in_the_container_do_not_show_on_the_host(engine: Engine) -> None:
    before = _mounts(engine)
    ran = sh(
        engine, "mkdir /m && mount -t tmpfs t /m && sleep 0.1 && grep -c ' /m ' /proc/self/mountinfo", privileged=True
    )
    assert ran.out == "1\n"
    assert _mounts(engine) == before


def test_propagation_is_what_keeps_them_in(engine: Engine) -> None:
    container = engine.containers.create(ContainerOptions(BUSYBOX, ("true",)))
    kinds = [type(step).__name__ for step in container.plan()]
    assert kinds.index("SetPropagation") < kinds.index("MountOverlay")
    assert any(isinstance(step, SetPropagation) and step.flags for step in container.plan())


# Kernel calls


@pytest.mark.needs("seccomp")
@pytest.mark.parametrize(
    "command",
    [
        ("unshare", "-m", "true"),
        ("unshare", "-r", "true"),
        ("mount", "-t", "tmpfs", "t", "/tmp"),
        ("hostname", "evil"),
        ("date", "-s", "2020-01-01"),
        ("swapon", "/etc/passwd"),
        ("insmod", "/etc/passwd"),
    ],
    ids=lambda command: command[0],
)
def test_dangerous_call_is_refused(engine: Engine, command: tuple[str, ...]) -> None:
    ran = run(engine, *command)
    assert ran.code != 0 or "Operation not permitted" in ran.err


@pytest.mark.needs("seccomp")
def test_unconfined_has_no_filter(engine: Engine) -> None:
    mode: Callable[..., str] = lambda **options: run(  # noqa: E731 - said twice below
        engine, "grep", "Seccomp:", "/proc/self/status", **options
    ).out.split()[1]
    assert mode() == "2"
    assert mode(security_opt=("seccomp=unconfined",)) == "0"
    assert mode(privileged=True) == "0"
