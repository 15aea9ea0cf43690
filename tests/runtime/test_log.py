"""The log file: what is written, how long lines and full disks are handled, what a reader gets."""

import errno
import json
import os
import time
from pathlib import Path

import pytest

from toolkit.engine import logs
from toolkit.runtime.log import MAX_LINE_BYTES, LogWriter, TurningLog, files, read_entries


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "log.json")


def _writer(path: str) -> LogWriter:
    return LogWriter(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND))


def _texts(path: str) -> list[str]:
    with open(path, "rb") as log:
        return [entry["log"] for entry in read_entries(log)]


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
    with open(path, "rb") as log:
        assert [entry["log"] for entry in read_entries(log)] == ["one\n"]
        with open(path, "a") as file:
            file.write('o\\n","stream":"stdout","time":"x"}\n')
        assert [entry["log"] for entry in read_entries(log)] == ["two\n"]
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


# Files that make room


def _turning(path: str, max_bytes: int, max_files: int, attributes: str = "") -> TurningLog:
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    return TurningLog(fd, path, max_bytes, max_files, attributes)


def _numbers(path: str, **how: int) -> list[int]:
    return [int(line.text) for line in logs.read(path, **how)]


def _write(writer: TurningLog, numbers: range) -> None:
    for number in numbers:
        writer.write("stdout", f"{number}\n".encode())


def test_full_log_begins_a_new_file_and_the_oldest_goes(path: str) -> None:
    writer = _turning(path, 300, 3)
    _write(writer, range(40))
    writer.close()
    assert files(path) == [f"{path}.2", f"{path}.1", path]
    assert not os.path.exists(f"{path}.3")
    assert all(os.path.getsize(name) < 400 for name in files(path))
    found = _numbers(path)
    assert found == list(range(found[0], 40))
    assert len(found) >= 9


def test_many_lines_at_once_are_divided_between_files(path: str) -> None:
    writer = _turning(path, 300, 50)
    writer.write("stdout", b"".join(b"%d\n" % number for number in range(40)))
    writer.close()
    assert len(files(path)) == 8
    assert _numbers(path) == list(range(40))


def test_only_file_is_emptied_when_it_is_full(path: str) -> None:
    writer = _turning(path, 300, 1)
    _write(writer, range(40))
    writer.close()
    assert files(path) == [path]
    assert _numbers(path)[-1] == 39
    assert os.path.getsize(path) < 400


@pytest.mark.parametrize("tail", [0, 1, 4, 9, 17, 39, 40, 100])
def test_tail_counts_across_files(path: str, tail: int) -> None:
    writer = _turning(path, 300, 50)
    _write(writer, range(40))
    writer.close()
    assert _numbers(path, tail=tail) == list(range(40))[40 - min(tail, 40) :]


def test_since_and_until_reach_across_files(path: str) -> None:
    writer = _turning(path, 300, 50)
    _write(writer, range(20))
    between_ns = time.time_ns()
    _write(writer, range(20, 40))
    writer.close()
    assert _numbers(path, since_ns=between_ns) == list(range(20, 40))
    assert _numbers(path, until_ns=between_ns) == list(range(20))


def test_reader_who_is_overtaken_reads_on_in_the_right_file(path: str) -> None:
    writer = _turning(path, 300, 50)
    _write(writer, range(3))
    with logs._Reader(path, None) as reader:
        assert [entry["log"] for entry in reader.more()] == ["0\n", "1\n", "2\n"]
        _write(writer, range(3, 40))
        assert [int(entry["log"]) for entry in reader.more()] == list(range(3, 40))
    writer.close()


def test_reader_of_a_file_that_is_emptied_begins_again(path: str) -> None:
    writer = _turning(path, 300, 1)
    _write(writer, range(4))
    with logs._Reader(path, None) as reader:
        assert len(list(reader.more())) == 4
        _write(writer, range(4, 6))
        assert [int(entry["log"]) for entry in reader.more()][-1] == 5
    writer.close()


def test_attributes_come_with_each_line(path: str) -> None:
    writer = _turning(path, 0, 1, '{"tier": "front"}')
    writer.write("stdout", b"x\n")
    writer.close()
    (line,) = logs.read(path)
    assert (line.text, line.attributes) == ("x\n", {"tier": "front"})


def test_log_that_cannot_be_turned_grows_on(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = _turning(path, 300, 3)

    def refuse(*_args: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(os, "rename", refuse)
        _write(writer, range(10))
    _write(writer, range(10, 20))
    writer.close()
    assert _numbers(path) == list(range(20))
