"""What a lesson does on a machine that has what it needs, and on one that has not."""

import pytest

from tests.support.cells import Cells
from toolkit.notebook import lesson

NEEDS = "from toolkit.notebook import lesson\nlesson.needs_containers()"


@pytest.mark.needs("root", "overlay")
def test_ready_where_containers_run(cells: Cells) -> None:
    ready = cells.value(NEEDS)
    assert ready
    assert ready.took_ms > 0
    assert "ready" in ready._repr_html_()


def test_cells_are_skipped_where_they_do_not(cells: Cells, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lesson, "_try_container", lambda: lesson.Ready("no <root>", 0.0))
    ready = cells.value(NEEDS)
    assert not ready
    assert "no &lt;root&gt;" in ready._repr_html_()
    shown = cells.run("assert False, 'this needs a container'")
    assert shown.error is None
    assert shown.bundles[0]["text/plain"] == "skipped: no <root>"
    assert "no &lt;root&gt;" in shown.bundles[0]["text/html"]
    monkeypatch.setattr(lesson, "_try_container", lambda: lesson.Ready("", 1.0))
    cells.run(NEEDS)
    assert cells.value("40 + 2") == 42


@pytest.mark.needs("root", "overlay")
def test_fresh_removes_what_an_earlier_run_left(cells: Cells) -> None:
    cells.run("%container run -d --name leftover lab sleep 1000")
    lesson.fresh("leftover", "never-there")
    assert "leftover" not in cells.value("%container ps -a").column("NAMES")
