"""Children in new namespaces (tests/support/child.py)."""

import os
import signal

import pytest

from tests.support.child import ChildError, in_child
from toolkit.core.errors import InvalidError
from toolkit.linux.namespace import CLONE_NEWPID, CLONE_NEWUSER, CLONE_NEWUTS, namespace_inodes


def test_result_larger_than_a_pipe_comes_back() -> None:
    assert in_child(lambda: b"x" * 1_000_000) == b"x" * 1_000_000


def test_exception_comes_back_with_the_childs_traceback() -> None:
    def fail() -> None:
        raise InvalidError("no such thing")

    with pytest.raises(InvalidError, match="no such thing") as caught:
        in_child(fail)
    assert "in fail" in caught.value.__notes__[0]


def test_killed_child_is_reported_with_its_signal() -> None:
    with pytest.raises(ChildError, match="ended with -9"):
        in_child(lambda: os.kill(os.getpid(), signal.SIGKILL))


def test_exception_that_does_not_unpickle_comes_back_as_text() -> None:
    class OddError(Exception):
        def __init__(self, one: int, two: int) -> None:
            super().__init__(f"{one}{two}")

    def fail() -> None:
        raise OddError(4, 2)

    with pytest.raises(ChildError, match="OddError: 42"):
        in_child(fail)


@pytest.mark.needs("root", "ns:pid")
def test_function_is_pid_1_of_a_new_pid_namespace() -> None:
    assert in_child(os.getpid, new=CLONE_NEWPID) == 1


@pytest.mark.needs("userns")
def test_function_is_uid_0_of_a_new_user_namespace() -> None:
    assert in_child(os.getuid, new=CLONE_NEWUSER) == 0


@pytest.mark.needs("root", "ns:uts")
def test_parent_keeps_its_own_namespaces() -> None:
    before = namespace_inodes()
    inside = in_child(namespace_inodes, new=CLONE_NEWUTS)
    assert inside["uts"] != before["uts"]
    assert namespace_inodes() == before
