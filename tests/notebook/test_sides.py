"""Host and container side by side: commands that were really run, and what is the same on both sides."""

import os
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.cells import Cells
from tests.support.patience import wait_until
from toolkit.core.errors import ConflictError, InvalidError
from toolkit.engine.options import ContainerOptions, ExecOptions
from toolkit.notebook import looking
from toolkit.notebook.containers import the_engine
from toolkit.notebook.pictures import sides
from toolkit.notebook.values import Container

pytestmark = pytest.mark.needs("root", "overlay", "busybox")


@pytest.fixture
def bare(cells: Cells) -> Iterator[Container]:
    """Return a container whose image has lost every program that is asked for."""
    made = cells.value("%container run -d --name bare lab sleep 600")
    for name in ("ps", "mount", "hostname", "id", "ip", "df", "uname"):
        made.exec("sh", "-c", f"rm -f $(command -v {name})")
    yield made
    made.remove(force=True)


def test_same_process_is_marked_on_both_sides(web: Container) -> None:
    seen = sides(web).look("processes")
    assert seen.shared == {f"process {pid}" for pid in web.pids}
    first = next(line.text for line in seen.inside.lines if line.key == f"process {web.pid}")
    assert first.split()[:2] == ["1", "0"]
    assert first.endswith("sh -c sleep 500 & sleep 600")
    outside = next(line.text for line in seen.outside.lines if line.key == f"process {web.pid}")
    assert outside.split()[0] == str(web.pid)


def test_same_file_system_is_marked_on_both_sides(web: Container) -> None:
    device = os.stat("/proc/self/mountinfo").st_dev  # procfs of the host, which the container does not have
    seen = sides(web).look("mounts")
    assert f"file system {os.major(device)}:{os.minor(device)}" not in seen.shared
    assert "overlay on / type overlay" in seen.inside.text
    assert not next(line.key for line in seen.inside.lines if line.text.startswith("overlay on / "))
    assert any("cgroup" in line.text for line in seen.inside.lines if line.key)


def test_names_and_devices_are_each_sides_own(web: Container) -> None:
    names = sides(web).look("names")
    assert f"hostname  {web.id[:12]}" in names.inside.text
    assert f"hostname  {os.uname().nodename}" in names.outside.text
    assert not any(key.startswith("hostname") for key in names.shared)
    assert any(key.startswith("uname") for key in names.shared)
    assert sides(web).look("network").shared == frozenset()
    assert "overlay" in sides(web).look("disks").inside.text


def test_network_of_the_host_is_the_same_on_both_sides(cells: Cells) -> None:
    made = cells.value("%container run -d --network host lab sleep 600")
    try:
        seen = sides(made).look("network")
        assert any(" lo " in key for key in seen.shared)
    finally:
        made.remove(force=True)


def test_program_that_the_image_lacks_is_replaced_and_that_is_said(bare: Container) -> None:
    picture = sides(bare)
    processes = picture.look("processes")
    assert processes.shared == {f"process {bare.pid}"}
    assert processes.inside.note.startswith("The image has no ps")
    assert "overlay on / type overlay" in picture.look("mounts").inside.text
    names = picture.look("names").inside.text
    assert f"hostname  {bare.id[:12]}" in names
    assert "uid=0 gid=0" in names
    assert picture.look("network").inside.lines
    disks = picture.look("disks").inside
    assert disks.lines == ()
    assert disks.note.startswith("df: ")


def test_program_that_this_machine_lacks_is_said() -> None:
    assert looking._outside(("no-such-program",)) == "no-such-program: this machine has no such program"
    assert "no answer in" in looking._outside(("sleep", "30"))


def test_picture_follows_the_processes(web: Container) -> None:
    picture = sides(web)
    picture._take(picture, {"do": "look", "view": "one"}, [])
    try:
        wait_until(lambda: picture.shown.get("topic") == 0, 20)
        made = web.raw.exec(ExecOptions(("sleep", "777")))
        wait_until(lambda: any("sleep 777" in text for text, _ in picture.shown["inside"]["lines"]), 20)
        made.kill(9)
        made.close()
        web.remove(force=True)
        wait_until(lambda: picture.ended, 20)
        assert picture.trouble == {}
    finally:
        picture.close()


def test_page_shows_another_topic(web: Container) -> None:
    picture = sides(web)
    picture._take(picture, {"do": "show", "topic": 2}, [])
    assert picture.shown["topic"] == picture.topic == 2
    picture._take(picture, {"do": "show", "topic": 9}, [])
    assert "no such topic: 9" in picture.trouble["message"]
    with pytest.raises(InvalidError, match="no such topic: dance; one of processes, mounts"):
        picture.look("dance")


def test_unchanged_answer_is_not_asked_for_again(web: Container, monkeypatch: pytest.MonkeyPatch) -> None:
    picture = sides(web)
    picture.do_show(1)
    monkeypatch.setattr(subprocess, "run", None)  # to run anything would fail
    assert picture.beat() == 0.0


def test_container_that_does_not_run_is_told(web: Container) -> None:
    picture = sides(web)
    web.kill()
    web.wait()
    with pytest.raises(ConflictError, match="is not running"):
        picture.look("names")
    assert "is not running" in picture.figure().text
    picture.beat()
    assert picture.ended


def test_figure_has_all_topics_as_picture_and_as_text(web: Container) -> None:
    figure = sides(web).figure()
    for topic in looking.TOPICS:
        assert f"<b>{topic.name}</b>" in figure.html
        assert f"{topic.name}: $ " in figure.text
    assert "sleep 500 &amp; sleep 600" in figure.html


def test_made_but_never_started_is_told(cells: Cells) -> None:
    made = the_engine().containers.create(ContainerOptions("lab", ("true",)))
    try:
        with pytest.raises(ConflictError):
            sides(made).look("names")
    finally:
        made.remove()
