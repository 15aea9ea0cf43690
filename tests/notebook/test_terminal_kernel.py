"""Terminals of a real kernel: opened by %container, and hung up when the kernel goes, however it goes."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

from tests.support.nested import REPOSITORY
from tests.support.patience import wait_until
from tests.support.session import EngineRoot
from toolkit.engine.engine import Engine

pytestmark = [pytest.mark.needs("root", "overlay"), pytest.mark.timeout(180)]
_WAIT_S = 60


class Kernel:
    """A kernel that runs cells; each must succeed."""

    def __init__(self, where: EngineRoot) -> None:
        environment = {
            **os.environ,
            "PYTHONPATH": REPOSITORY,
            "CONTAINER_ROOT": where.root,
            "CONTAINER_RUN": where.run,
        }
        started: tuple[KernelManager, BlockingKernelClient] = start_new_kernel(env=environment)
        self.manager, self.client = started
        self.run("%load_ext toolkit")

    def run(self, code: str) -> list[dict[str, Any]]:
        """Run a cell; return what it displays, by MIME type."""
        shown: list[dict[str, Any]] = []

        def take(message: dict[str, Any]) -> None:
            content = message["content"]
            assert message["msg_type"] != "error", content
            if "data" in content and message["msg_type"] in {"display_data", "execute_result"}:
                shown.append(content["data"])

        self.client.execute_interactive(code, timeout=_WAIT_S, output_hook=take)
        return shown

    def kill(self) -> None:
        """End it at once, with no time for anything."""
        self.manager.signal_kernel(signal.SIGKILL)

    def close(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


@pytest.fixture
def kernel(engine_root: EngineRoot) -> Iterator[Kernel]:
    made = Kernel(engine_root)
    yield made
    made.close()


def containers(where: EngineRoot) -> list[str]:
    with Engine.open(where.root, where.run) as engine:
        return [f"{each.name} {each.status}" for each in engine.containers.list(all=True)]


def test_cell_returns_at_once_with_a_terminal_and_its_twin(kernel: Kernel) -> None:
    shown = kernel.run("t = %container run -it --rm --name web lab sh\nt")
    assert sorted(shown[0]) == ["application/vnd.jupyter.widget-view+json", "text/html", "text/plain"]
    assert shown[0]["text/plain"].startswith("terminal of web, open")
    kernel.run("t.send('echo $((6*7)) from inside\\n'); t.wait_for('42 from inside')")
    kernel.run("assert '42 from inside' in t.screen; assert t.container.status == 'running'")
    kernel.run("u = %container exec -it web sh\nu.send('exit 9\\n'); assert u.wait(20) == 9")
    kernel.run("t.send('exit 3\\n'); assert t.wait(20) == 3; assert t.container.status == 'removed'")


@pytest.mark.parametrize("command", ["sh", "sleep 1000"])
def test_kernel_that_is_killed_leaves_nothing(kernel: Kernel, engine_root: EngineRoot, command: str) -> None:
    kernel.run(f"%container run -it --rm --name web lab {command}")
    assert containers(engine_root) == ["web running"]
    kernel.kill()
    wait_until(lambda: containers(engine_root) == [], 20)


def test_kernel_that_is_shut_down_leaves_nothing(kernel: Kernel, engine_root: EngineRoot) -> None:
    kernel.run("%container run -it --rm --name web lab sh")
    kernel.manager.shutdown_kernel()
    wait_until(lambda: containers(engine_root) == [], 20)


def test_container_that_was_attached_to_goes_on(kernel: Kernel, engine_root: EngineRoot) -> None:
    kernel.run("%container run -dit --name web lab sh")
    kernel.run("t = %container attach web\nt.send('echo $((4+5)) there\\n'); t.wait_for('9 there')")
    kernel.run("u = %container exec -it web sleep 1000")
    kernel.kill()
    with Engine.open(engine_root.root, engine_root.run) as engine:
        web = engine.containers.get("web")
        wait_until(lambda: len(web.pids()) == 1, 20)  # the exec's process is gone with its window
        assert web.status == "running"
        web.remove(force=True)


def test_restart_policy_is_for_containers_that_go_on(kernel: Kernel, engine_root: EngineRoot) -> None:
    kernel.run("t = %container run -it --name web --restart always lab sleep 1000\nt.close()")
    with Engine.open(engine_root.root, engine_root.run) as engine:
        assert engine.containers.get("web").status == "running"
        engine.containers.get("web").remove(force=True)
