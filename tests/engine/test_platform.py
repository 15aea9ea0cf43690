"""An image is run on the platform that it was built for, or not at all."""

import os

import pytest

from tests.support.engines import BUSYBOX
from toolkit.core.errors import InvalidError, NotFoundError
from toolkit.engine import ContainerOptions, Engine

pytestmark = pytest.mark.needs("root", "overlay", "busybox")


def test_image_for_another_platform_is_not_here(engine: Engine) -> None:
    other = "linux/arm64" if os.uname().machine == "x86_64" else "linux/amd64"
    with pytest.raises(NotFoundError, match=f"image {BUSYBOX} is here for linux/.*, not for {other}; container pull"):
        engine.containers.create(ContainerOptions(BUSYBOX, ("true",), platform=other))
    assert not engine.containers.list(all=True)


def test_platform_that_does_not_exist_is_refused(engine: Engine) -> None:
    with pytest.raises(InvalidError, match="unknown operating system or architecture"):
        engine.containers.create(ContainerOptions(BUSYBOX, ("true",), platform="bogus"))


def test_platform_of_this_machine_is_run(engine: Engine) -> None:
    made = engine.containers.create(ContainerOptions(BUSYBOX, ("true",), platform="linux"))
    made.start()
    assert made.wait() == 0
    made.remove()
