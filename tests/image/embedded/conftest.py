"""A root file system to fill with made-up programs."""

from pathlib import Path

import pytest

from tests.support.fake_host import FakeHost


@pytest.fixture
def fake(tmp_path: Path) -> FakeHost:
    return FakeHost(tmp_path / "root")
