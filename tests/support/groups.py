"""Processes in cgroups of a test's own."""

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from toolkit.linux.cgroup.hierarchy import Hierarchy


@contextmanager
def own_group(hierarchy: Hierarchy) -> Iterator[str]:
    """Give the name of a group below one of this test alone; kill and remove at the end what is in both."""
    parent = f"/toolkit-test-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    yield f"{parent}/one"
    if hierarchy.present(parent):
        hierarchy.kill_all(parent)
    hierarchy.remove(parent)


def start_in(hierarchy: Hierarchy, name: str, run: Callable[[], object] = signal.pause) -> int:
    """Start a child that joins the group and runs; return its pid once it has joined."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            hierarchy.join(name)
            os.write(writer, b"1")
            run()
        finally:
            os._exit(1)
    os.close(writer)
    joined = os.read(reader, 1)
    os.close(reader)
    assert joined == b"1"
    return pid


def exit_code(pid: int) -> int:
    """Wait for a child; return its code, or the negative number of the signal that killed it."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
