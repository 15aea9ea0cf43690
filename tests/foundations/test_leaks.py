"""The leak check: what a nested run leaves behind makes it fail, and is taken away."""

import os
import pathlib
import re
import subprocess
import time

import pytest

from tests.support.leaks import read_mounts
from tests.support.nested import Nested, run_nested

CLEAN = """
    def test_it(engine_root):
        open(engine_root.root + "/file", "w").close()
"""


def leaked(ended: Nested, kind: str) -> str:
    """Return what the nested run reports as left, and check that it failed for that alone."""
    assert ended.code == 1, ended.output
    assert "1 passed" in ended.output, ended.output
    found = re.search(rf"^LEAKED {kind} (\S+)", ended.output, re.MULTILINE)
    assert found, ended.output
    return found[1].rstrip(":")


def is_running(pid: int) -> bool:
    """Tell whether a process lives; the killed one is a zombie until its parent waits."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_clean_run_passes(tmp_path: pathlib.Path) -> None:
    ended = run_nested(str(tmp_path), CLEAN)
    assert ended.code == 0, ended.output
    assert "LEAKED" not in ended.output


@pytest.mark.parametrize("environ", ["None", "{}"], ids=["inherits environment", "clears environment"])
def test_left_process_fails_the_run_and_is_killed(tmp_path: pathlib.Path, environ: str) -> None:
    source = f"""
        import subprocess

        def test_it(engine_root):
            shell = "exec 5>" + engine_root.run + "/open; sleep 300 & "  # orphaned as soon as the shell ends
            subprocess.run(["sh", "-c", shell], start_new_session=True, env={environ})
    """
    pid = int(leaked(run_nested(str(tmp_path), source), "process"))
    deadline = time.monotonic() + 5
    while is_running(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not is_running(pid)


@pytest.mark.needs("root", "tmpfs")
def test_left_mount_fails_the_run_and_is_unmounted(tmp_path: pathlib.Path) -> None:
    source = """
        from toolkit.linux.mount import mount

        def test_it(engine_root):
            mount("tmpfs", engine_root.run, "tmpfs")
    """
    point = leaked(run_nested(str(tmp_path), source), "mount")
    assert point not in [mount.point for mount in read_mounts()]


@pytest.mark.needs("root", "tmpfs")
def test_left_bind_mount_outside_the_base_is_found_by_its_device(tmp_path: pathlib.Path) -> None:
    target = tmp_path / "target"
    target.mkdir()
    source = f"""
        from toolkit.linux.mount import MS_BIND, mount

        def test_it(engine_root):
            mount(engine_root.run, "{target}", None, MS_BIND)
    """
    assert leaked(run_nested(str(tmp_path), source), "mount") == str(target)


@pytest.mark.needs("root", "cgroup:pids")
def test_left_cgroup_of_a_removed_container_fails_the_run_and_is_removed(tmp_path: pathlib.Path) -> None:
    source = """
        import contextlib, os
        from tests.support.features import hierarchies
        from toolkit.core.ids import new_id
        from toolkit.core.state import State

        def test_it(engine_root):
            ident = new_id()
            with contextlib.closing(State(engine_root.root + "/state.db")) as state:
                state.insert("container", ident, {})
                state.delete("container", ident)  # known for ever, although the engine has forgotten it
            points = [point for kind in ("cgroup", "cgroup2") for point, names in hierarchies(kind) if "pids" in names]
            os.mkdir(points[0] + "/" + ident)
    """
    path = leaked(run_nested(str(tmp_path), source), "cgroup")
    assert not os.path.exists(path)


@pytest.mark.needs("root", "cgroup:pids")
def test_left_cgroup_of_a_running_process_fails_the_run_and_is_removed(tmp_path: pathlib.Path) -> None:
    source = """
        import os, subprocess
        from tests.support.features import hierarchies

        def test_it(engine_root):
            points = [point for kind in ("cgroup", "cgroup2") for point, names in hierarchies(kind) if "pids" in names]
            path = points[0] + "/ct-left-" + str(os.getpid())
            os.mkdir(path)
            shell = "echo $$ > " + path + "/cgroup.procs; sleep 300 &"
            subprocess.run(["sh", "-c", shell], start_new_session=True)
    """
    path = leaked(run_nested(str(tmp_path), source), "cgroup")
    assert not os.path.exists(path)


def test_left_file_in_the_base_fails_the_run(tmp_path: pathlib.Path) -> None:
    source = """
        import os

        def test_it(engine_root):
            open(os.path.dirname(os.path.dirname(engine_root.root)) + "/stray", "w").close()
    """
    path = leaked(run_nested(str(tmp_path), source), "file")
    assert not os.path.exists(path)


@pytest.mark.needs("root", "link:veth")
def test_left_network_link_fails_the_run(tmp_path: pathlib.Path) -> None:
    source = """
        import subprocess

        def test_it(engine_root):
            subprocess.run("ip link add ct-left0 type veth peer name ct-left1", shell=True, check=True)
    """
    try:
        assert leaked(run_nested(str(tmp_path), source), "network link") in {"ct-left0", "ct-left1"}
    finally:
        subprocess.run(["ip", "link", "delete", "ct-left0"], check=True)


def test_tmp_path_belongs_to_the_session_and_goes_with_it(tmp_path: pathlib.Path) -> None:
    source = """
        def test_it(tmp_path):
            (tmp_path / "file").write_text("")
            raise AssertionError(f"<{tmp_path}>")
    """
    ended = run_nested(str(tmp_path), source)
    found = re.search("<(/tmp/.*)>", ended.output)
    assert found, ended.output
    assert found[1].startswith("/tmp/ct-")
    assert not os.path.exists(found[1])


def test_descriptor_that_stays_open_fails_the_run(tmp_path: pathlib.Path) -> None:
    source = """
        import os

        def test_it(engine_root):
            os.open(engine_root.root, os.O_RDONLY)
    """
    assert leaked(run_nested(str(tmp_path), source), "descriptor").endswith("/root")
