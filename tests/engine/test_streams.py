"""What goes in and out of a container: whole, in order, whoever reads it and however slowly."""

import hashlib
import os
import threading
import time

import pytest

from tests.support.engines import BUSYBOX, collect, run, sh
from tests.support.patience import wait_until
from toolkit.engine.attachment import Attachment
from toolkit.engine.container import EXITED, RUNNING, Container
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions, ExecOptions

pytestmark = pytest.mark.needs("root", "overlay", "busybox")

_MB = 1024 * 1024


def _started(engine: Engine, *argv: str, **options: object) -> tuple[Container, Attachment]:
    container = engine.containers.create(ContainerOptions(BUSYBOX, argv, **options))  # type: ignore[arg-type]  # a test's words
    attachment = container.start(attach=True)
    assert attachment is not None
    return container, attachment


def _until(attachment: Attachment, text: bytes) -> bytes:
    """Read a terminal until `text` has come."""
    seen = b""
    while text not in seen:
        output = attachment.read()
        assert output is not None, seen
        seen += output.data
    return seen


# Output


def test_a_hundred_megabytes_come_out_whole(engine: Engine) -> None:
    _container, attachment = _started(
        engine, "sh", "-c", "head -c 104857600 /dev/zero | tr '\\0' 'x'", auto_remove=True
    )
    total, digest = 0, hashlib.sha256()
    with attachment:
        for output in attachment:
            total += len(output.data)
            digest.update(output.data)
    assert total == 100 * _MB
    assert digest.hexdigest() == hashlib.sha256(b"x" * 100 * _MB).hexdigest()
    assert attachment.exit_code == 0


def test_binary_output_is_not_changed(engine: Engine) -> None:
    _container, attachment = _started(
        engine, "printf", "".join(f"\\{byte:o}" for byte in range(1, 256)), auto_remove=True
    )
    with attachment:
        assert b"".join(output.data for output in attachment) == bytes(range(1, 256))


def test_slow_reader_slows_the_container_and_gets_everything(engine: Engine) -> None:
    container, attachment = _started(engine, "sh", "-c", "head -c 20000000 /dev/zero; echo done >&2")
    time.sleep(0.3)
    assert container.status == RUNNING  # it waits for its reader, far from the end
    total = 0
    with attachment:
        for output in attachment:
            total += len(output.data) if output.stream == "stdout" else 0
    assert total == 20_000_000
    assert attachment.exit_code == 0


def test_reader_that_disappears_does_not_stop_the_container(engine: Engine) -> None:
    container, attachment = _started(engine, "sh", "-c", "yes | head -c 5000000; exit 5")
    attachment.read()
    attachment.close()
    assert container.wait() == 5


def test_two_who_are_attached_both_get_what_comes(engine: Engine) -> None:
    container, first = _started(engine, "sh", "-c", "while [ ! -e /go ]; do sleep 0.01; done; echo both")
    second = container.attach()
    collect(container.exec(ExecOptions(("touch", "/go"))))
    assert collect(first).out == "both\n"
    assert collect(second).out == "both\n"


def test_who_attaches_again_gets_only_what_comes_then(engine: Engine) -> None:
    container, attachment = _started(engine, "sh", "-c", "echo one; while [ ! -e /go ]; do sleep 0.01; done; echo two")
    assert attachment.read() is not None
    attachment.close()
    again = container.attach()
    collect(container.exec(ExecOptions(("touch", "/go"))))
    assert collect(again).out == "two\n"
    assert [line.text for line in container.logs()] == ["one\n", "two\n"]


def test_output_of_a_daemon_that_keeps_the_pipes_does_not_delay_the_end(engine: Engine) -> None:
    container = engine.containers.create(
        ContainerOptions(BUSYBOX, ("sh", "-c", "sleep 30 & echo left"), pid_mode="host")
    )
    began = time.monotonic()
    attachment = container.start(attach=True)
    assert attachment is not None
    assert collect(attachment).out == "left\n"
    assert time.monotonic() - began < 10


def test_exit_code_comes_after_the_last_output(engine: Engine) -> None:
    for code in range(10):
        ran = sh(engine, f"echo last; exit {code}")
        assert ran == (code, "last\n", "")


# Logs


def test_very_long_line_is_logged_in_parts_and_whole(engine: Engine) -> None:
    container, attachment = _started(engine, "sh", "-c", "head -c 100000 /dev/zero | tr '\\0' x; echo")
    collect(attachment)
    lines = [line.text for line in container.logs()]
    assert len(lines) == 7
    assert "".join(lines) == "x" * 100_000 + "\n"
    assert all(len(line) <= 16 * 1024 + 1 for line in lines)


def test_bytes_that_are_no_text_do_not_break_the_log(engine: Engine) -> None:
    container, attachment = _started(engine, "printf", "\\377\\376\\n\\0ok\\n")
    collect(attachment)
    assert [line.text for line in container.logs()] == ["\ufffd\ufffd\n", "\0ok\n"]


def test_tail_since_and_until_choose_lines(engine: Engine) -> None:
    container, attachment = _started(engine, "sh", "-c", "for i in 1 2 3 4 5; do echo $i; sleep 0.02; done")
    collect(attachment)
    every = list(container.logs())
    from toolkit.core.clock import parse_ns

    third = parse_ns(every[2].time)
    assert [line.text for line in container.logs(tail=2)] == ["4\n", "5\n"]
    assert [line.text for line in container.logs(tail=0)] == []
    assert [line.text for line in container.logs(tail=99)] == ["1\n", "2\n", "3\n", "4\n", "5\n"]
    assert [line.text for line in container.logs(since_ns=third)] == ["3\n", "4\n", "5\n"]
    assert [line.text for line in container.logs(until_ns=third)] == ["1\n", "2\n"]


def test_follow_with_tail_goes_on_from_there(engine: Engine) -> None:
    container, attachment = _started(
        engine, "sh", "-c", "echo 1; echo 2; while [ ! -e /go ]; do sleep 0.01; done; echo 3"
    )
    attachment.close()
    wait_until(lambda: len(list(container.logs())) == 2, 10)
    followed = container.logs(follow=True, tail=1)
    assert next(followed).text == "2\n"
    collect(container.exec(ExecOptions(("touch", "/go"))))
    assert [line.text for line in followed] == ["3\n"]


# Input


def test_fifty_megabytes_go_in_whole(engine: Engine) -> None:
    _container, attachment = _started(engine, "sha256sum", open_stdin=True, stdin_once=True, auto_remove=True)
    block = os.urandom(_MB)
    for _again in range(50):
        attachment.write_stdin(block)
    attachment.close_stdin()
    assert collect(attachment).out.split()[0] == hashlib.sha256(block * 50).hexdigest()


def test_what_goes_in_comes_out_of_cat(engine: Engine) -> None:
    _container, attachment = _started(engine, "cat", open_stdin=True, stdin_once=True, auto_remove=True)
    content = os.urandom(8 * _MB)

    def write() -> None:
        attachment.write_stdin(content)
        attachment.close_stdin()

    writer = threading.Thread(target=write)
    writer.start()
    with attachment:
        seen = b"".join(output.data for output in attachment)
    writer.join()
    assert seen == content


def test_output_goes_on_after_stdin_has_ended(engine: Engine) -> None:
    assert sh(engine, "cat; sleep 0.1; echo after", stdin=b"before\n").out == "before\nafter\n"


def test_stdin_that_nobody_reads_blocks_nothing(engine: Engine) -> None:
    assert run(engine, "true", stdin=b"x" * 300_000).code == 0


def test_program_that_closes_stdin_early_is_no_error(engine: Engine) -> None:
    assert sh(engine, "exec 0<&-; sleep 0.1; echo fine", stdin=b"x" * 300_000).out == "fine\n"


def test_stdin_once_ends_it_when_its_writer_leaves(engine: Engine) -> None:
    container, attachment = _started(engine, "cat", open_stdin=True, stdin_once=True)
    attachment.close()
    assert container.wait() == 0


def test_stdin_stays_open_otherwise_for_who_attaches_next(engine: Engine) -> None:
    container, attachment = _started(engine, "head", "-n", "1", open_stdin=True)
    attachment.close()
    assert container.status == RUNNING
    again = container.attach()
    again.write_stdin(b"second\n")
    assert collect(again).out == "second\n"
    assert container.status == EXITED


# Terminals


def test_terminal_is_one_with_the_size_that_was_asked(engine: Engine) -> None:
    container = engine.containers.create(
        ContainerOptions(BUSYBOX, ("sh", "-c", "tty; stty size; ls -l /dev/console; echo $TERM"), tty=True)
    )
    attachment = container.start(attach=True, console_size=(33, 99))
    assert attachment is not None
    lines = collect(attachment).out.replace("\r\n", "\n").splitlines()
    assert lines[:2] == ["/dev/pts/0", "33 99"]
    assert "/dev/console" in lines[2]
    assert lines[3] == "xterm"


def test_terminal_echoes_and_edits(engine: Engine) -> None:
    _container, attachment = _started(engine, "sh", "-c", "read line; echo got $line", tty=True, open_stdin=True)
    attachment.write_stdin(b"helxx\x7f\x7flo\n")
    seen = collect(attachment).out
    assert seen.startswith("helxx")  # the echo
    assert "got hello" in seen


def test_resize_reaches_the_program(engine: Engine) -> None:
    script = "trap 'stty size; exit' WINCH; echo ready; while :; do sleep 0.05; done"
    _container, attachment = _started(engine, "sh", "-c", script, tty=True, open_stdin=True)
    _until(attachment, b"ready")
    attachment.resize(50, 132)
    assert "50 132" in collect(attachment).out


def test_ctrl_c_interrupts_the_program(engine: Engine) -> None:
    script = "trap 'echo interrupted; exit 3' INT; echo ready; while :; do sleep 0.05; done"
    _container, attachment = _started(engine, "sh", "-c", script, tty=True, open_stdin=True)
    _until(attachment, b"ready")
    attachment.write_stdin(b"\x03")
    ran = collect(attachment)
    assert "interrupted" in ran.out
    assert ran.code == 3


def test_ctrl_d_ends_the_input_of_a_shell(engine: Engine) -> None:
    _container, attachment = _started(engine, "sh", tty=True, open_stdin=True)
    _until(attachment, b"# ")
    attachment.write_stdin(b"\x04")
    assert collect(attachment).code == 0


def test_shell_has_job_control(engine: Engine) -> None:
    _container, attachment = _started(engine, "sh", tty=True, open_stdin=True)
    seen = _until(attachment, b"# ")
    assert b"job control turned off" not in seen
    attachment.write_stdin(b"sleep 60\n")
    time.sleep(0.3)
    attachment.write_stdin(b"\x1a")  # Ctrl-Z
    _until(attachment, b"Stopped")
    attachment.write_stdin(
        b"kill -9 %1; sleep 0.5\n\n"
    )  # a shell tells of a job at its next prompt, if it knows by then
    _until(attachment, b"Killed")
    attachment.write_stdin(b"exit 4\n")
    assert collect(attachment).code == 4


def test_leaving_a_terminal_and_coming_back(engine: Engine) -> None:
    container, attachment = _started(engine, "sh", tty=True, open_stdin=True)
    _until(attachment, b"# ")
    attachment.close()
    assert container.status == RUNNING
    again = container.attach()
    again.write_stdin(b"echo ba''ck; exit 2\n")
    ran = collect(again)
    assert "back" in ran.out
    assert ran.code == 2


def test_letter_of_several_bytes_is_erased_whole(engine: Engine) -> None:
    read = ("sh", "-c", "read line; echo got $line | od -An -tx1")
    container, attachment = _started(engine, *read, tty=True, open_stdin=True)
    attachment.write_stdin("a漢\x7fb\n".encode())
    assert f" {b'got ab'.hex(' ')} 0a" in collect(attachment).out
    container, attachment = _started(engine, "sleep", "60")
    execution = container.exec(ExecOptions(read, tty=True, open_stdin=True))
    execution.write_stdin("a漢\x7fb\n".encode())
    assert f" {b'got ab'.hex(' ')} 0a" in collect(execution).out
    container.kill()
    attachment.close()


def test_exec_with_a_terminal(engine: Engine) -> None:
    container, attachment = _started(engine, "sleep", "60")
    execution = container.exec(ExecOptions(("sh", "-c", "tty; stty size"), tty=True), console_size=(24, 80))
    assert collect(execution).out.split() == ["/dev/pts/0", "24", "80"]
    container.kill()
    attachment.close()


def test_strange_frames_only_end_the_connection_they_came_on(engine: Engine) -> None:
    from toolkit.runtime import client, frames

    container, attachment = _started(engine, "sleep", "60", tty=True)
    for content in (b"no json", b"[]", b'{"op": "resize"}', b'{"op": "resize", "rows": 1e9, "columns": "x"}'):
        session = client.attach(container.run_dir, output=True, stdin=True)
        assert session is not None
        session.send(frames.CONTROL, content)
        assert session.receive() is None
        session.close()
    session = client.attach(container.run_dir, output=True, stdin=True)
    assert session is not None
    session._sock.sendall(b"\x04\0\0\0\xff\xff\xff\xff")  # a frame of four gigabytes
    assert session.receive() is None
    session.close()
    assert container.status == RUNNING
    container.kill()
    collect(attachment)
