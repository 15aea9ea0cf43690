"""The walls around a container: what its own programs run into."""

import json
import os
from pathlib import Path

import pytest

from tests.support.engines import BUSYBOX, add_image, collect, run, sh
from toolkit.core.errors import EngineError, InvalidError, StartError
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions, ExecOptions

pytestmark = pytest.mark.needs("root", "overlay", "busybox", "seccomp", "cgroup:any")
REFUSED = "Operation not permitted"
MEMORY_OF_THE_KERNEL = "mknod /tmp/log c 1 11 && head -c1 /tmp/log"
"""/dev/kmsg: on every machine, and in no container's list of devices."""


def profile(*calls: str) -> str:
    rule = {"names": list(calls), "action": "SCMP_ACT_ERRNO", "errnoRet": 17}
    return "seccomp=" + json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]})


def test_a_filter_is_over_every_program(engine: Engine) -> None:
    assert sh(engine, "grep -w Seccomp /proc/self/status").out.split() == ["Seccomp:", "2"]


def test_unconfined_has_no_filter(engine: Engine) -> None:
    ran = sh(engine, "grep -w Seccomp /proc/self/status", security_opt=("seccomp=unconfined",))
    assert ran.out.split() == ["Seccomp:", "0"]


def test_privileged_has_no_filter(engine: Engine) -> None:
    assert sh(engine, "grep -w Seccomp /proc/self/status", privileged=True).out.split() == ["Seccomp:", "0"]


def test_root_cannot_make_a_user_namespace(engine: Engine) -> None:
    """The filter says no: the kernel itself would let anybody."""
    assert REFUSED in sh(engine, "unshare -U true").err
    assert sh(engine, "unshare -U true", security_opt=("seccomp=unconfined",)).code == 0


def test_root_cannot_mount(engine: Engine) -> None:
    assert "ermi" in sh(engine, "mount -t tmpfs x /mnt").err


def test_cap_sys_admin_opens_mount_in_filter_and_kernel(engine: Engine) -> None:
    ran = sh(engine, "mkdir /m && mount -t tmpfs x /m && echo mounted", cap_add=("SYS_ADMIN",))
    assert ran.out == "mounted\n", ran.err


def test_own_profile_takes_the_place_of_the_default(engine: Engine) -> None:
    ran = sh(engine, "mkdir /x", security_opt=(profile("mkdir", "mkdirat"),))
    assert "File exists" in ran.err
    assert ran.code != 0


def test_own_profile_with_an_unknown_action_is_refused(engine: Engine) -> None:
    text = "seccomp=" + json.dumps({"defaultAction": "SCMP_ACT_PERHAPS"})
    with pytest.raises(InvalidError, match='unknown seccomp action: "SCMP_ACT_PERHAPS"'):
        sh(engine, "true", security_opt=(text,))


def test_device_that_is_not_listed_can_be_made_but_not_opened(engine: Engine) -> None:
    assert REFUSED in sh(engine, MEMORY_OF_THE_KERNEL).err


def test_device_that_is_listed_can_be_opened(engine: Engine) -> None:
    assert sh(engine, "mknod /tmp/zeros c 1 5 && head -c3 /tmp/zeros | wc -c").out.strip() == "3"


def test_privileged_may_open_every_device(engine: Engine) -> None:
    ran = sh(engine, MEMORY_OF_THE_KERNEL, privileged=True)
    assert ran.code == 0, ran.err


def test_another_user_cannot_make_devices(engine: Engine) -> None:
    ran = sh(engine, "mknod /tmp/log c 1 11", user="1000")
    assert REFUSED in ran.err


@pytest.mark.parametrize("fd", range(3, 12))
def test_no_descriptor_leads_a_working_directory_out(engine: Engine, fd: int) -> None:
    """CVE-2024-21626: a directory of the host's that is still open while init looks up --workdir."""
    try:
        ran = sh(engine, "ls -d ../../../../../etc/hostname; pwd", working_dir=f"/proc/self/fd/{fd}")
    except EngineError:
        return
    assert ran.code != 0 or ran.out.startswith("/"), ran


@pytest.mark.parametrize("fd", range(3, 12))
def test_no_descriptor_leads_to_a_program_of_the_hosts(engine: Engine, fd: int) -> None:
    with pytest.raises(StartError):
        run(engine, f"/proc/self/fd/{fd}/../../../../../../../../bin/busybox", "true")


def test_program_of_another_user_can_open_its_stdout_anew(engine: Engine) -> None:
    ran = sh(engine, "echo out > /dev/stdout; echo err > /dev/stderr", user="ada")
    assert (ran.code, ran.out, ran.err) == (0, "out\n", "err\n")


def test_terminal_belongs_to_the_user(engine: Engine) -> None:
    assert sh(engine, "stat -c %u /dev/pts/0", user="ada", tty=True).out.strip() == "1000"


def test_null_device_stays_roots(engine: Engine) -> None:
    assert sh(engine, "true", user="ada").code == 0
    assert os.stat("/dev/null").st_uid == 0


def test_one_who_writes_for_ever_does_not_hold_up_the_end(engine: Engine) -> None:
    """In the host's pid namespace init does not take its children with it; the monitor does, through the cgroup."""
    assert sh(engine, "yes & exit 7", pid_mode="host").code == 7


def test_oom_score_in_a_user_namespace(engine: Engine) -> None:
    ran = sh(engine, "cat /proc/self/oom_score_adj", userns_mode="private", oom_score_adj=100)
    assert ran.out.strip() == "100", ran.err


def test_half_made_process_cannot_be_looked_into(engine: Engine) -> None:
    """Between capset and execve it has no more powers than the container's root (CVE-2019-5736)."""
    container = engine.containers.create(ContainerOptions(BUSYBOX, ("true",), auto_remove=True))
    attachment = container.start(attach=True, trace=True)
    assert attachment is not None
    collect(attachment)
    calls = [event.call for event in attachment.events]
    assert calls.index("prctl(PR_SET_DUMPABLE, SUID_DUMP_DISABLE)") < calls.index("setresuid(0, 0, 0)")


@pytest.mark.parametrize("user", ["", "ada"])
def test_program_in_a_user_namespace_can_open_its_stdout_anew(engine: Engine, user: str) -> None:
    """The pipes are root's of the host, who is nobody in there."""
    script = "echo out > /dev/stdout; echo err > /dev/stderr; cat < /dev/stdin"
    ran = sh(engine, script, userns_mode="private", user=user, stdin=b"in")
    assert (ran.code, ran.out, ran.err) == (0, "out\nin", "err\n")
    container = engine.containers.create(ContainerOptions(BUSYBOX, ("sleep", "60"), userns_mode="private", user=user))
    container.start()
    assert collect(container.exec(ExecOptions(("sh", "-c", "echo out > /dev/stdout")))).out == "out\n"


def test_exec_has_the_containers_oom_score(engine: Engine) -> None:
    container = engine.containers.create(ContainerOptions(BUSYBOX, ("sleep", "60"), oom_score_adj=321))
    container.start()
    assert collect(container.exec(ExecOptions(("cat", "/proc/self/oom_score_adj")))).out == "321\n"


@pytest.mark.parametrize("link", ["/elsewhere", "../../../../../elsewhere", "elsewhere"])
def test_terminal_is_opened_inside_where_dev_is_a_symlink(
    engine: Engine, busybox_tree: str, tmp_path: Path, link: str
) -> None:
    tree = tmp_path / "tree"
    os.system(f"cp -al {busybox_tree} {tree}")  # noqa: S605 - our own paths
    (tree / "dev").rmdir()
    (tree / "elsewhere").mkdir()
    os.symlink(link, tree / "dev")
    add_image(engine.images.store, "linked", str(tree))
    ran = sh(engine, "tty; test -c /dev/console && ls /elsewhere/pts", image="linked", tty=True)
    assert (ran.code, ran.out.split()) == (0, ["/elsewhere/pts/0", "0", "ptmx"])


def test_exec_opens_no_terminal_that_the_container_has_replaced(engine: Engine) -> None:
    """A container that may mount can put anything on the path of its terminals (CVE-2025-52565's class)."""
    script = "mount -t tmpfs t /dev/pts && ln -s /proc/self/fd/0 /dev/pts/ptmx && echo ready && exec sleep 60"
    command = ("sh", "-c", script)
    container = engine.containers.create(ContainerOptions(BUSYBOX, command, cap_add=("SYS_ADMIN",)))
    attachment = container.start(attach=True)
    assert attachment is not None
    with attachment:
        assert next(iter(attachment)).data == b"ready\n"
    with pytest.raises(StartError, match="no terminal can be opened in the container"):
        container.exec(ExecOptions(("true",), tty=True))
