"""From create to rm: what a container does, and what docker says it should."""

import pytest

from tests.support.engines import run, sh
from toolkit.engine.engine import Engine

pytestmark = pytest.mark.needs("root", "overlay", "busybox")


def test_output_and_exit_code_come_back(engine: Engine) -> None:
    ran = sh(engine, "echo out; echo err >&2; exit 3")
    assert ran == (3, "out\n", "err\n")


def test_auto_remove_leaves_nothing(engine: Engine) -> None:
    assert run(engine, "true").code == 0
    assert list(engine.containers.list(all=True)) == []
