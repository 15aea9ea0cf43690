"""Run something in a child process, where it may change its namespaces, and bring back what it returned.

The parent first drains the pipe and then waits: a child that writes more than
a pipe holds would otherwise never end.
"""

import os
import pickle
import sys
import threading
import traceback
import warnings
from collections.abc import Callable
from typing import NamedTuple, NoReturn, TypeVar

from toolkit.linux.namespace import CLONE_NEWPID, CLONE_NEWUSER, unshare

T = TypeVar("T")


class ChildError(Exception):
    """The child died without an answer."""


class _Answer(NamedTuple):
    value: object
    error: BaseException | None
    trace: str


def in_child(function: Callable[[], T], *, new: int = 0) -> T:
    """Return what `function` returns in a child process; raise what it raises there.

    Args:
        function: anything; its result and its exceptions must be picklable.
        new: CLONE_NEW* flags of the namespaces that the child makes first.  With
            CLONE_NEWPID the function runs in pid 1 of the new namespace; with
            CLONE_NEWUSER as its uid 0.

    Raises:
        ChildError: the child was killed, or its answer cannot be pickled.
    """
    reader, writer = os.pipe()
    pid = _fork()
    if pid == 0:
        os.close(reader)
        _child(function, new, writer)
    os.close(writer)
    with open(reader, "rb") as pipe:
        content = pipe.read()
    _, status = os.waitpid(pid, 0)
    if not content:
        raise ChildError(f"the child said nothing and ended with {os.waitstatus_to_exitcode(status)}")
    answer: _Answer = pickle.loads(content)  # noqa: S301 - our own child wrote it
    if answer.error is not None:
        answer.error.add_note(f"In the child:\n{answer.trace}")
        raise answer.error
    return answer.value  # type: ignore[return-value]  # pickle keeps the type


def _fork() -> int:
    with warnings.catch_warnings():
        if threading.active_count() > 1:
            # Python 3.12 warns of locks that another thread may hold; the child only makes system calls.
            warnings.simplefilter("ignore", DeprecationWarning)
        return os.fork()


def _child(function: Callable[[], object], new: int, writer: int) -> NoReturn:
    """Answer through `writer` and leave at once: nothing of pytest may run twice."""
    try:
        try:
            content = _answer(function, new)
        except BaseException as exc:  # noqa: BLE001 - whatever it was goes to the parent
            content = _encode(_Answer(None, exc, traceback.format_exc()))
        with open(writer, "wb") as pipe:
            pipe.write(content)
    finally:
        sys.stdout.flush()
        os._exit(0)


def _answer(function: Callable[[], object], new: int) -> bytes:
    outer = (os.getuid(), os.getgid())
    if new:
        unshare(new)
    if new & CLONE_NEWUSER:
        _become_root(*outer)
    if new & CLONE_NEWPID:
        value: object = in_child(function)  # the first fork after unshare is pid 1
    else:
        value = function()
    return _encode(_Answer(value, None, ""))


def _become_root(uid: int, gid: int) -> None:
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def _encode(answer: _Answer) -> bytes:
    try:
        content = pickle.dumps(answer)
        pickle.loads(content)  # noqa: S301 - an exception with its own __init__ may pickle and not come back
    except Exception as exc:  # noqa: BLE001 - pickle raises anything
        error = answer.error if answer.error is not None else exc
        content = pickle.dumps(_Answer(None, ChildError(f"{type(error).__name__}: {error}"), answer.trace))
    return content
