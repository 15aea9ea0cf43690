"""The error tree (toolkit/core/errors.py)."""

import errno
import inspect
import pickle
import re

import pytest

from toolkit.core import errors

CLASSES = [kind for _, kind in inspect.getmembers(errors, inspect.isclass) if issubclass(kind, errors.EngineError)]


def made(kind: type[errors.EngineError]) -> errors.EngineError:
    """Make an error of any class of the tree."""
    if issubclass(kind, errors.SyscallError):
        return kind('mount("a", "b")', errno.EPERM, hint="run as root")
    return kind("it did not happen", hint="do it again")


def test_message_is_one_line_with_the_cure() -> None:
    assert str(errors.NotFoundError("no such image: x", hint="pull it first")) == "no such image: x; pull it first"
    assert str(errors.NotFoundError("no such image: x")) == "no such image: x"


def test_syscall_error_reads_as_strace_and_is_an_oserror() -> None:
    error = errors.SyscallError('pivot_root("a", "b")', errno.EBUSY, hint="bind it first")
    assert str(error) == 'pivot_root("a", "b") = -1 EBUSY (Device or resource busy); bind it first'
    assert isinstance(error, OSError)
    assert error.errno == errno.EBUSY


@pytest.mark.parametrize(
    ("number", "builtin"),
    [(errno.ENOENT, FileNotFoundError), (errno.EEXIST, FileExistsError), (errno.EPERM, PermissionError)],
)
def test_syscall_error_is_caught_as_the_error_that_python_has_for_its_errno(
    number: int, builtin: type[OSError]
) -> None:
    with pytest.raises(builtin) as caught:
        raise errors.SyscallError('open("a")', number)
    assert isinstance(caught.value, errors.SyscallError)


def test_exit_codes_are_dockers() -> None:
    assert errors.EngineError("x").exit_code == 125
    assert errors.CommandNotExecutableError("x").exit_code == 126
    assert errors.CommandNotFoundError("x").exit_code == 127


def test_docstring_draws_the_whole_tree() -> None:
    drawn = set(re.findall(r"[A-Z]\w+Error", errors.__doc__ or "")) - {"OSError"}
    assert drawn == {kind.__name__ for kind in CLASSES}


@pytest.mark.parametrize("kind", CLASSES)
def test_error_survives_the_way_to_another_process(kind: type[errors.EngineError]) -> None:
    error = made(kind)
    back = pickle.loads(pickle.dumps(error))  # noqa: S301 - made one line above
    assert type(back) is type(error)
    assert isinstance(back, kind)
    assert (str(back), back.message, back.hint) == (str(error), error.message, error.hint)
