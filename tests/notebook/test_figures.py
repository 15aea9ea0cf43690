"""Figures: the facts in them, as picture and as text."""

import os
from xml.etree import ElementTree as ET

import pytest

from tests.support.cells import Cells
from toolkit.linux.probe import Feature
from toolkit.notebook.figures.capabilities import capability_matrix
from toolkit.notebook.figures.split import Namespace, Process, Split, draw, read_process, read_split

HERE = Feature("limits on", "pids", "against fork bombs", "", "")
LACKING = Feature("limits on", "memory", "bytes <of> memory", "ENOENT (No such file or directory)", "boot anew")


def test_matrix_counts_what_is_here() -> None:
    figure = capability_matrix([HERE, LACKING])
    assert "<b>1 of 2</b>" in figure.html
    assert "✓ pids" in figure.text
    assert "○ memory" in figure.text


def test_matrix_tells_why_and_the_cure() -> None:
    figure = capability_matrix([HERE, LACKING])
    assert "ENOENT (No such file or directory); boot anew" in figure.html
    assert "memory: ENOENT (No such file or directory); boot anew" in figure.text
    assert "bytes &lt;of&gt; memory" in figure.html


def test_tile_tells_the_evidence() -> None:
    figure = capability_matrix([HERE._replace(evidence='unshare("<>") = 0')])
    assert "against fork bombs\nunshare(&quot;&lt;&gt;&quot;) = 0" in figure.html


def test_matrix_without_gaps_has_no_list_of_cures() -> None:
    assert "Not here" not in capability_matrix([HERE]).html


SPLIT = Split(
    "web <1>",
    (Process((1,), 0, "init", "the first of all"), Process((700, 1), 1, "sh -c <x>")),
    99,
    (Process((700, 1), 1, "sh -c <x>"),),
    (Namespace("pid", 10, 20), Namespace("user", 30, 30)),
)


def test_split_view_shows_both_numbers_of_a_process() -> None:
    figure = draw(SPLIT)
    svg = figure.html[figure.html.index("<svg") : figure.html.index("</svg>") + 6]
    texts = [element.text for element in ET.fromstring(svg).iter("text")]  # noqa: S314 - our own drawing
    assert texts.count("700") == 1
    assert texts.count("1") == 2  # init's on the host, the container's inside
    assert texts.count("sh -c <x>") == 2
    assert svg.count("<path") == 1


def test_split_view_tells_own_from_shared() -> None:
    figure = draw(SPLIT)
    assert figure.html.count("its own") == 1
    assert figure.html.count("shared</td>") == 1
    assert "10 ≠ 20" in figure.text
    assert "30 = 30" in figure.text


def test_process_is_read_from_proc() -> None:
    own = read_process(os.getpid())
    assert own.pids[0] == os.getpid()
    assert own.parent == os.getppid()
    assert "py" in own.command


@pytest.mark.needs("root", "overlay")
def test_split_of_a_running_container(cells: Cells) -> None:
    container = cells.value("%container run -d lab sh -c 'sleep 500 & sleep 600'")
    try:
        split = read_split(container.pid, container.name)
        assert sorted(each.pids[-1] for each in split.inside)[:1] == [1]
        assert container.pid in [each.pids[0] for each in split.host]
        assert {each.kind for each in split.namespaces if each.is_own} >= {"pid", "mnt", "uts", "ipc", "net"}
        assert os.getpid() in [each.pids[0] for each in split.host]
    finally:
        container.remove(force=True)
