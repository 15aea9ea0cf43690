"""The user's terminal: raw inside, and as it was afterwards."""

import os
import pty
import termios
from typing import Any

import pytest

from toolkit.core.errors import SyscallError
from toolkit.linux.terminal import RawMode, get_attributes, get_window_size, make_raw


@pytest.fixture
def terminal() -> Any:
    master, slave = pty.openpty()
    yield master, slave
    os.close(master)
    os.close(slave)


def test_raw_mode_passes_every_byte_and_is_undone(terminal: tuple[int, int]) -> None:
    master, slave = terminal
    before = get_attributes(slave)
    with RawMode(slave):
        assert get_attributes(slave) == make_raw(before)
        os.write(master, b"\x03\x04\r\x11")
        assert os.read(slave, 10) == b"\x03\x04\r\x11"
    assert get_attributes(slave) == before


def test_raw_mode_is_undone_when_the_block_fails(terminal: tuple[int, int]) -> None:
    _, slave = terminal
    before = get_attributes(slave)
    with pytest.raises(KeyError), RawMode(slave):
        raise KeyError
    assert get_attributes(slave) == before


def test_raw_mode_ends_quietly_on_a_terminal_that_is_gone() -> None:
    master, slave = pty.openpty()
    try:
        with RawMode(slave):
            os.close(master)
    finally:
        os.close(slave)


def test_window_size_is_read(terminal: tuple[int, int]) -> None:
    master, slave = terminal
    termios.tcsetwinsize(master, (33, 101))
    assert get_window_size(slave) == (33, 101)


def test_what_is_no_terminal_is_refused_by_name() -> None:
    read_fd, write_fd = os.pipe()
    try:
        for ask in (get_window_size, get_attributes):
            with pytest.raises(SyscallError, match="ENOTTY"):
                ask(read_fd)
    finally:
        os.close(read_fd)
        os.close(write_fd)
