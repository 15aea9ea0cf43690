"""The namespace map: what it says is what /proc says, and a command goes where it was chosen to."""

import os
from collections.abc import Iterator
from typing import Any

import pytest

from tests.support.cells import Cells
from tests.support.patience import wait_until
from toolkit.core.errors import InvalidError, NotFoundError
from toolkit.linux.namespace import namespace_inodes
from toolkit.notebook.figures.namespaces import HERE, draw, facts, read_map
from toolkit.notebook.pictures import namespace_map
from toolkit.notebook.values import Container

pytestmark = pytest.mark.needs("root", "overlay")


@pytest.fixture
def guest(cells: Cells, web: Container) -> Iterator[Container]:
    made = cells.value("%container run -d --name guest --pid container:web --uts host lab sleep 600")
    yield made
    made.remove(force=True)


def test_map_says_what_proc_says(web: Container, guest: Container) -> None:
    found = namespace_map(web, guest).map
    assert set(found.own("web")) == {"pid", "mnt", "uts", "ipc", "net", "cgroup"} & set(found.kinds)
    assert found.is_shared("pid", "web", "guest")
    assert found.is_shared("uts", "guest")
    assert not found.is_shared("net", "web", "guest")
    first = next(each for each in found.members if each.pid == web.pid)
    assert first.inodes == namespace_inodes(web.pid)
    assert (first.inner_pid, first.group) == (1, "web")
    assert {each.pid for each in found.members if each.group == "web"} == set(web.pids)
    assert os.getpid() in {each.pid for each in found.members if each.group == HERE}


def test_shared_namespace_has_the_colour_of_the_container_that_it_came_with(web: Container, guest: Container) -> None:
    found = namespace_map(web, guest).map
    shown = facts(found)
    place = found.kinds.index("pid")
    rows = {row["pid"]: row for row in shown["rows"]}
    assert rows[guest.pid]["cells"][place] == rows[web.pid]["cells"][place] == [namespace_inodes(web.pid)["pid"], 1]
    assert rows[guest.pid]["cells"][found.kinds.index("uts")][1] == 0
    assert rows[guest.pid]["cells"][found.kinds.index("mnt")][1] == 2


def test_figure_has_each_number_as_picture_and_as_text(web: Container) -> None:
    figure = namespace_map(web).figure()
    inode = namespace_inodes(web.pid)["net"]
    assert f'title="{inode}"' in figure.html
    assert str(inode)[-5:] in figure.text
    assert "web:" in figure.text
    assert "sh -c sleep 500 &amp; sleep 6…" in figure.html


def test_all_containers_come_and_go_by_themselves(cells: Cells, web: Container) -> None:
    picture = namespace_map()
    assert [name for name, *_ in picture.shown["groups"]] == [HERE, "web"]
    picture._take(picture, {"do": "look", "view": "one"}, [])
    try:
        made = cells.value("%container run -d --name late lab sleep 600")
        wait_until(lambda: [name for name, *_ in picture.shown["groups"]] == [HERE, "web", "late"], 10)
        made.remove(force=True)
        wait_until(lambda: [name for name, *_ in picture.shown["groups"]] == [HERE, "web"], 10)
    finally:
        picture.close()


def test_command_joins_what_it_was_told_to(web: Container) -> None:
    picture = namespace_map(web)
    entered = picture.join("hostname", web, "uts", "net")
    assert entered.output.strip() == web.id[:12]
    assert [call.split(", ")[1] for call in entered.calls] == ["CLONE_NEWUTS) = 0", "CLONE_NEWNET) = 0"]
    assert picture.join("sh -c 'echo $$'", web.pid, "pid").output.strip().isdecimal()
    assert (
        picture.join(["readlink", "/proc/self/ns/mnt"], "web", "uts").output == f"mnt:[{namespace_inodes()['mnt']}]\n"
    )


def test_page_joins_what_is_chosen(web: Container) -> None:
    picture = namespace_map(web)
    picture.chosen = {"uts": web.pid}
    picture._take(picture, {"do": "join", "command": "hostname"}, [])
    assert picture.answer["output"].strip() == web.id[:12]
    assert picture.answer["kinds"] == ["uts"]


@pytest.mark.parametrize(("command", "message"), [("", "no command"), ("echo 'x", "No closing quotation")])
def test_command_that_is_none_is_a_card(web: Container, command: str, message: str) -> None:
    picture = namespace_map(web)
    picture.chosen = {"uts": web.pid}
    picture._take(picture, {"do": "join", "command": command}, [])
    assert message in picture.trouble["message"]


def test_process_that_is_gone_is_a_card(web: Container) -> None:
    picture = namespace_map(web)
    picture.chosen = {"uts": web.pid}
    web.remove(force=True)
    picture._take(picture, {"do": "join", "command": "hostname"}, [])
    assert "the process is gone" in picture.trouble["hint"]
    with pytest.raises(NotFoundError):
        picture.join("hostname", "web", "uts")


def test_what_is_no_container_is_refused() -> None:
    wrong: Any = 1.5
    with pytest.raises(InvalidError, match=r"1\.5 is no container"):
        namespace_map(wrong)


def test_container_that_was_asked_for_stays_in_the_picture_as_it_was_and_is_in_no_map(web: Container) -> None:
    picture = namespace_map(web)
    pid, before = web.pid, picture.shown["rows"]
    web.remove(force=True)
    picture.beat()
    assert picture.map.groups == (HERE,)
    assert [name for name, *_ in picture.shown["groups"]] == [HERE, "web, as it was: it has ended"]
    assert [row for row in picture.shown["rows"] if row["pid"] == pid] == [row for row in before if row["pid"] == pid]
    assert "web, as it was: it has ended:" in picture.figure().text


def test_many_processes_are_counted_and_not_all_drawn() -> None:
    found = read_map([("many <b>", [os.getpid()] * 9)])
    assert found.left_out == {"many <b>": 3}
    assert "and 3 more" in draw(found).html
    assert "many &lt;b&gt;" in draw(found).html
