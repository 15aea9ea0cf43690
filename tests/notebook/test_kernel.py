"""A real kernel, as JupyterLab has one: progress that is redrawn, and the stop button."""

import os
import time
from collections.abc import Iterator
from queue import Empty
from typing import Any, NamedTuple

import pytest
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel

from tests.support.registries import StartRegistry
from tests.support.session import EngineRoot

pytestmark = [pytest.mark.needs("root", "overlay"), pytest.mark.timeout(180)]
_SOURCE = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
_WAIT_S = 60


class Kernel(NamedTuple):
    """A kernel and a connection to it."""

    manager: KernelManager
    client: BlockingKernelClient

    def run(self, code: str, *, interrupt_after_s: float = 0.0) -> list[tuple[str, dict[str, Any]]]:
        """Run a cell to its end; return type and content of its messages."""
        ident = self.client.execute(code)
        messages: list[tuple[str, dict[str, Any]]] = []
        start_s = time.monotonic()
        while True:
            if interrupt_after_s and time.monotonic() - start_s > interrupt_after_s:
                self.manager.interrupt_kernel()
                interrupt_after_s = 0.0
            try:
                message = self.client.get_iopub_msg(timeout=0.1)
            except Empty:
                if time.monotonic() - start_s > _WAIT_S:
                    raise
                continue
            if message["parent_header"].get("msg_id") != ident:
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return messages
            messages.append((message["msg_type"], message["content"]))


@pytest.fixture(scope="module")
def kernel() -> Iterator[Kernel]:
    environment = {**os.environ, "PYTHONPATH": _SOURCE}
    manager, client = start_new_kernel(env=environment)
    made = Kernel(manager, client)
    made.run("%load_ext toolkit")
    yield made
    client.stop_channels()
    manager.shutdown_kernel(now=True)


def errors(messages: list[tuple[str, dict[str, Any]]]) -> list[dict[str, Any]]:
    return [content for kind, content in messages if kind == "error"]


def test_pull_redraws_one_display(kernel: Kernel, start_registry: StartRegistry, engine_root: EngineRoot) -> None:
    host = start_registry().host
    pushed = kernel.run(f"%container run --rm lab true\n%container tag lab {host}/lab\n%container push {host}/lab")
    assert errors(pushed) == []
    messages = kernel.run(f"image = %container --root {engine_root.root} pull {host}/lab\nimage.id")
    assert errors(messages) == []
    drawn = [content for kind, content in messages if kind in {"display_data", "update_display_data"}]
    assert len({content["transient"]["display_id"] for content in drawn}) == 1
    assert len([kind for kind, _ in messages if kind == "display_data"]) == 1
    assert len(drawn) > 2
    final = drawn[-1]["data"]
    assert final["text/plain"].count("Pull complete") >= 4
    assert final["text/html"].count("width:100%") >= 4
    assert "Digest: sha256:" in final["text/plain"]
    assert errors(kernel.run(f"%container rmi {host}/lab")) == []


def test_output_of_a_container_is_apart_from_the_progress_of_its_image(
    kernel: Kernel, start_registry: StartRegistry
) -> None:
    name = f"{start_registry().host}/lab"
    assert errors(kernel.run(f"%container run --rm lab true\n%container tag lab {name}\n%container push {name}")) == []
    messages = kernel.run(f"r = %container run --rm --pull always {name} echo hi\nprint([r.output])")
    assert errors(messages) == []
    assert ("stream", {"name": "stdout", "text": "['hi\\n']\n"}) in messages
    assert errors(kernel.run(f"%container rmi {name}")) == []


def test_stop_button_ends_the_container(kernel: Kernel) -> None:
    messages = kernel.run("%container run --rm --name stopped lab sleep 1000", interrupt_after_s=0.7)
    failed = errors(messages)
    assert [content["ename"] for content in failed] == ["CommandInterruptedError"]
    assert len(failed[0]["traceback"]) == 1
    left = kernel.run("print([c.name for c in get_ipython().run_line_magic('container', 'ps -a')])")
    assert ("stream", {"name": "stdout", "text": "[]\n"}) in left


def test_container_survives_its_kernel(kernel: Kernel) -> None:
    started = kernel.run("c = %container run -d --name survivor lab sleep 1000\nprint(c.pid)")
    pid = int("".join(content["text"] for kind, content in started if kind == "stream").split()[-1])
    kernel.manager.restart_kernel(now=True)
    kernel.client.wait_for_ready(timeout=_WAIT_S)
    kernel.run("%load_ext toolkit")
    os.kill(pid, 0)
    assert errors(kernel.run("%container rm -f survivor")) == []
