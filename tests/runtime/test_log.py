"""The log file: what is written, how long lines and full disks are handled, what a reader gets."""

import errno
import json
import os
from pathlib import Path

import pytest

from toolkit.runtime.log import MAX_LINE_BYTES, LogWriter, read_entries


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "log.json")


def _writer(path: str) -> LogWriter:
    return LogWriter(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND))


def _texts(path: str) -> list[str]:
    return [entry["log"] for entry, _end in read_entries(path)]


def test_entry_is_what_dockers_json_file_driver_writes(path: str) -> None:
    writer = _writer(path)
    writer.write("stderr", b'say "hi" \\ \xc3\xbc\n')
    writer.close()
    with open(path) as file:
        entry = json.loads(file.read())
    assert list(entry) == ["log", "stream", "time"]
    assert (entry["log"], entry["stream"]) == ('say "hi" \\ ü\n', "stderr")


def test_chunks_are_put_together_to_lines(path: str) -> None:
    writer = _writer(path)
    for chunk in (b"on", b"e\ntwo\nthr", b"ee"):
        writer.write("stdout", chunk)
    assert _texts(path) == ["one\n", "two\n"]
    writer.close()
    assert _texts(path) == ["one\n", "two\n", "three"]


def test_streams_do_not_mix(path: str) -> None:
    writer = _writer(path)
    for stream, chunk in (("stdout", b"a"), ("stderr", b"b"), ("stdout", b"c\n"), ("stderr", b"d\n")):
        writer.write(stream, chunk)
    writer.close()
    assert _texts(path) == ["ac\n", "bd\n"]


@pytest.mark.parametrize(
    "size", [1, MAX_LINE_BYTES - 1, MAX_LINE_BYTES, MAX_LINE_BYTES + 1, 5 * MAX_LINE_BYTES, 100_001]
)
@pytest.mark.parametrize("end", [b"", b"\n"])
def test_line_of_any_length_is_whole_in_pieces_that_are_short(path: str, size: int, end: bytes) -> None:
    writer = _writer(path)
    for first in range(0, size, 65_536):
        writer.write("stdout", b"x" * min(65_536, size - first))
    writer.write("stdout", end)
    writer.close()
    assert "".join(_texts(path)) == "x" * size + end.decode()
    assert all(len(text) <= MAX_LINE_BYTES for text in _texts(path))


def test_half_written_entry_is_left_for_later(path: str) -> None:
    writer = _writer(path)
    writer.write("stdout", b"one\n")
    with open(path, "a") as file:
        file.write('{"log":"tw')
    entries = list(read_entries(path))
    assert [entry["log"] for entry, _end in entries] == ["one\n"]
    with open(path, "a") as file:
        file.write('o\\n","stream":"stdout","time":"x"}\n')
    assert [entry["log"] for entry, _end in read_entries(path, entries[-1][1])] == ["two\n"]
    writer.close()


def test_broken_entry_is_skipped(path: str) -> None:
    with open(path, "w") as file:
        file.write('{"log":"torn\n{"log":"whole\\n","stream":"stdout","time":"x"}\n')
    assert _texts(path) == ["whole\n"]


def test_full_disk_loses_lines_and_nothing_else(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    room = 150

    def limited(fd: int, data: bytes) -> int:
        nonlocal room
        if not room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        written = write(fd, data[:room])
        room -= written
        return written

    writer = _writer(path)
    with monkeypatch.context() as patch:
        patch.setattr(os, "write", limited)
        for _again in range(5):
            writer.write("stdout", b"a line that is lost at some point\n")
    writer.write("stdout", b"there is room again\n")
    writer.close()
    assert _texts(path)[0] == "a line that is lost at some point\n"
    assert _texts(path)[-1] == "there is room again\n"


def test_other_errors_of_the_log_are_not_hidden(path: str) -> None:
    writer = LogWriter(os.open("/dev/null", os.O_RDONLY))
    with pytest.raises(OSError, match="Bad file descriptor"):
        writer.write("stdout", b"x\n")
    os.close(writer._fd)
