"""The static figures of single lessons: mounts, maps of users, a climb to a limit, a race."""

import itertools
from xml.etree import ElementTree as ET

import pytest

from tests.support.cells import Cells
from toolkit.notebook.figures import Figure
from toolkit.notebook.figures.idmap import draw, parse_map
from toolkit.notebook.figures.line import memory_curve
from toolkit.notebook.figures.mounts import mount_tree, parse_mounts, read_mounts
from toolkit.notebook.figures.race import memory_race, time_race

MOUNTINFO = r"""20 1 0:9 / / rw,relatime - overlay overlay rw,lowerdir=a
21 20 0:10 / /proc rw shared:3 - proc proc rw
22 21 0:10 /sys /proc/sys ro - proc proc rw
23 21 0:11 /null /proc/keys rw - tmpfs tmpfs rw
24 21 0:12 / /proc/acpi ro - tmpfs tmpfs ro
25 20 0:13 / /a\040b rw - ext4 /dev/vda ro
26 20 0:14 / /c rw - ext4 /dev/vdb rw
27 20 0:15 / /d rw - ext4 /dev/vdc rw
28 20 0:16 / /e rw - ext4 /dev/vdc rw
29 21 0:14 / /proc rw - proc proc rw
"""


def texts(figure: Figure) -> list[str]:
    svg = figure.html[figure.html.index("<svg") : figure.html.index("</svg>") + 6]
    return [element.text or "" for element in ET.fromstring(svg).iter() if element.tag.endswith("text")]  # noqa: S314 - our own drawing


def test_mounts_are_read_with_their_kind() -> None:
    found = {each.ident: each for each in parse_mounts(MOUNTINFO)}
    assert [found[ident].kind for ident in (20, 21, 23, 24, 25)] == ["layers", "kernel", "cover", "cover", "disk"]
    assert found[25].point == "/a b"
    assert [found[ident].is_read_only for ident in (21, 22, 25)] == [False, True, True]


def test_tree_says_where_each_lies_and_puts_those_alike_together() -> None:
    figure = mount_tree(parse_mounts(MOUNTINFO), "what <it> sees")
    lines = figure.text.splitlines()
    assert lines[0] == "what <it> sees: 10 mounts"
    assert [line for line in lines if line.startswith("  proc  ")]
    assert [line for line in lines if line.startswith("    sys  ") and " ro " in line]
    assert [line for line in lines if line.startswith("  c, d, e  ")]
    assert [line for line in lines if line.startswith("    (once more) ")]
    assert "what &lt;it&gt; sees" in figure.html


@pytest.mark.needs("root", "overlay")
def test_tree_of_a_container_has_an_overlay_on_top(cells: Cells) -> None:
    container = cells.value("%container run -d lab sleep 1000")
    try:
        seen = {each.point: each for each in read_mounts(container.pid)}
        assert (seen["/"].kind, seen["/proc"].kind, seen["/dev"].kind) == ("layers", "kernel", "memory")
        assert mount_tree(container.pid, "it").text.splitlines()[1].startswith("/ ")
    finally:
        container.remove(force=True)


def test_ribbon_names_both_ends_and_says_that_nobody_is_root() -> None:
    figure = draw(parse_map("         0     100000      65536\n"), "mapped")
    assert {"0 (root) to 65535", "100000 to 165535", "0: root. Nobody inside is this."} <= set(texts(figure))
    assert "0 (root) to 65535 = 100000 to 165535" in figure.text


def test_map_that_reaches_root_does_not_say_so() -> None:
    figure = draw(parse_map("0 100000 1000\n1000 0 1\n"), "odd")
    assert "0: root. Nobody inside is this." not in texts(figure)
    assert "1000 = 0 (root)" in figure.text


def test_labels_of_neighbours_do_not_cover_each_other() -> None:
    figure = draw(parse_map("0 100000 1000\n1000 0 1\n1001 200000 50000\n"), "odd")
    svg = figure.html[figure.html.index("<svg") : figure.html.index("</svg>") + 6]
    labels = [each for each in ET.fromstring(svg).iter("text") if each.get("y") == "52.0" or each.get("y") == "52"]  # noqa: S314 - our own drawing
    places = [float(each.get("x") or 0) for each in labels]
    assert len(places) == 3
    assert places == sorted(places)
    assert min(after - before for before, after in itertools.pairwise(places)) > 40


def test_initial_map_of_all_numbers_is_cut_off() -> None:
    assert "0 (root) ... = 0 (root) ..." in draw(parse_map("0 0 4294967295\n"), "all").text


def test_curve_ends_at_its_line() -> None:
    figure = memory_curve([(0.0, 2 << 20), (1.5, 64 << 20)], 64 << 20)
    assert {"64 MiB", "1.5 s", "killed"} <= set(texts(figure))
    assert "2 MiB at first, 64 MiB after 1.5 s; the line is at 64 MiB" in figure.text


def test_curve_of_nothing_says_so() -> None:
    assert memory_curve([], 64 << 20).text == "nothing was measured"


def test_race_tells_times_in_their_units_and_takes_the_pages_colour() -> None:
    figure = time_race({"a process": 0.0009, "a container": 0.0642, "a virtual machine": 7.7}, "from <nothing>")
    assert {"900 µs", "64.2 ms", "7.7 s", "a container", "from <nothing>"} <= set(texts(figure))
    assert "currentColor" in figure.html
    assert "a container  64.2 ms" in figure.text


def test_race_of_memory_has_whole_steps() -> None:
    figure = memory_race({"a container": 460_000, "a virtual machine": 112_000_000}, "memory")
    assert {"1 MB", "10 MB", "460 kB", "112 MB"} <= set(texts(figure))
