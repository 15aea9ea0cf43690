"""The image `lab`, made of this machine's own programs, in the engine."""

from collections.abc import Iterator

import pytest

from tests.support.engines import close_engine, run, sh
from tests.support.session import EngineRoot
from toolkit.engine.engine import Engine

pytestmark = pytest.mark.needs("root", "overlay")


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest) -> Iterator[Engine]:
    """Return an engine that has made its `lab` image."""
    from tests.support.session import _key

    session = request.config.stash[_key]
    where: EngineRoot = session.new_root()
    made = Engine.open(where.root, where.run)
    yield made
    close_engine(made)
    session.delete_root(where)


def test_lab_runs_a_shell(lab: Engine) -> None:
    assert sh(lab, "echo $((6*7)); id -u; hostname | wc -c", image="lab").out.split() == ["42", "0", "13"]


def test_lab_has_the_tools_of_the_lessons(lab: Engine) -> None:
    ran = sh(lab, "ps -e | tail -n 1; ls / >/dev/null && ip link show lo | head -n 1", image="lab")
    assert ran.code == 0, ran.err
    assert "lo:" in ran.out


def test_lab_is_made_once(lab: Engine) -> None:
    assert run(lab, "true", image="lab").code == 0
    first = lab.images.get("lab").id
    assert lab.images.get("lab:latest").id == first
    assert len(lab.images.list()) == 1
