"""What a terminal in a notebook is made of: who looks, what is kept, what is on the screen. Pure."""

import hashlib
import pathlib
import random
import re

import pytest

import toolkit.notebook.widgets
from toolkit.notebook.terminal.screen import Screen, plain
from toolkit.notebook.terminal.scrollback import Scrollback
from toolkit.notebook.terminal.views import SILENCE_S, WINDOW_BYTES, Size, Views

WIDE, HIGH = Size(20, 100), Size(40, 80)
VENDOR = pathlib.Path(toolkit.notebook.widgets.__file__).with_name("static") / "vendor"


def test_slowest_view_says_how_much_may_be_sent() -> None:
    views = Views()
    views.join("quick", 0, WIDE)
    views.join("slow", 0, WIDE)
    views.send(WINDOW_BYTES, 0.0)
    assert views.room(WINDOW_BYTES) == 0
    views.draw("quick", WINDOW_BYTES, WINDOW_BYTES, 0.1)
    assert views.room(WINDOW_BYTES) == 0
    views.draw("slow", 1000, WINDOW_BYTES, 0.1)
    assert views.room(WINDOW_BYTES) == 1000


def test_view_that_does_not_come_on_is_forgotten_and_holds_up_nobody() -> None:
    views = Views()
    views.join("dead", 0, WIDE)
    views.join("alive", 0, WIDE)
    views.send(WINDOW_BYTES, 0.0)
    views.draw("alive", WINDOW_BYTES, WINDOW_BYTES, 1.0)
    assert views.forget_silent(SILENCE_S - 0.1) == []
    assert views.forget_silent(SILENCE_S + 0.1) == ["dead"]
    assert views.room(WINDOW_BYTES) == WINDOW_BYTES
    assert not views.draw("dead", 10, WINDOW_BYTES, 9.0)


def test_view_with_nothing_to_draw_may_be_silent() -> None:
    views = Views()
    views.join("idle", 0, WIDE)
    views.send(5, 0.0)
    views.draw("idle", 5, 5, 0.1)
    assert views.forget_silent(1e6) == []
    views.send(10, 1e6)
    assert views.forget_silent(1e6 + 0.1) == []


def test_screen_fits_into_every_view() -> None:
    views = Views()
    assert views.size() is None
    views.join("wide", 0, WIDE)
    views.join("high", 0, HIGH)
    assert views.size() == (20, 80)
    views.leave("wide")
    assert views.size() == HIGH
    views.resize("high", WIDE)
    assert views.size() == WIDE


def test_scrollback_is_bounded_and_ends_with_the_last_bytes() -> None:
    kept = Scrollback(1000)
    for number in range(5000):
        kept.feed(b"line %d\r\n" % number)
    replay = kept.replay()
    assert len(replay) <= 2000
    assert replay.endswith(b"line 4999\r\n")
    assert re.match(rb"line \d+\r\n", replay), "it begins with a whole line"


def test_modes_that_were_cut_off_still_hold() -> None:
    kept = Scrollback(100)
    kept.feed(b"\x1b[?2004h\x1b[?1049h\x1b[?25l\x1b[3;20r\x1b=")
    kept.feed(b"text\r\n" * 100)
    assert kept.replay().startswith(b"\x1b[?1049h\x1b[?2004h\x1b[?25l\x1b[3;20r\x1b=")
    assert kept.is_other_screen
    kept.feed(b"\x1b[?1049l")
    assert not kept.is_other_screen
    kept.feed(b"\x1bc" + b"text\r\n" * 100)
    assert kept.replay().startswith(b"text"), "a reset takes all back"


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"one\r\ntwo\r\n", "one\ntwo"),
        (b"100%\r 20%", " 20%"),
        (b"\x1b[31mred\x1b[0m", "red"),
        (b"shell\x1b[?1049h\x1b[H\x1b[2Jeditor", "editor"),
        (b"shell\x1b[?1049h\x1b[H\x1b[2Jeditor\x1b[?1049l goes on", "shell goes on"),
        (b"\x1b[>4;2mvim\x1b[?1u\x1bP+q544e\x1b\\ asks", "vim asks"),
        ("naïve 日本".encode(), "naïve 日本"),
        (b"", ""),
    ],
)
def test_screen_as_text(data: bytes, text: str) -> None:
    assert Screen(data, 24, 80).text.replace("日 本 ", "日本") == text


def test_text_without_a_screen() -> None:
    data = b"\x1b]0;title\x07\x1b[1;31mred\x1b[0m\r\n\x1b[?2004h$ \x1b(B\x1b=ls"
    assert plain(data) == "red\n$ ls"


def test_screen_as_html_has_colours_and_no_markup_of_its_content() -> None:
    html = Screen(b"\x1b[1;32m<b>ok</b>\x1b[0m & done", 24, 80).html()
    assert html == '<span style="color:#2a9d6f;font-weight:600">&lt;b&gt;ok&lt;/b&gt;</span> &amp; done'


@pytest.mark.parametrize(
    "odd", [b"\x1b[1;1;1r", b"\x1b[?5A", b"\x1b[1;2L", b"\x1b[9K", b"\x1b[5;1;2n", b"\x1b[?1@"], ids=repr
)
def test_sequence_that_makes_no_sense_is_left_out(odd: bytes) -> None:
    assert Screen(b"before " + odd + b"after", 24, 80).text == "before after"


def test_binary_file_on_the_screen_is_a_screen() -> None:
    chance = random.Random(4)  # noqa: S311 - the same each time
    pieces = [b"\x1b["] * 20 + [b"?", b";", b";", b"7", b"31"] * 5 + [bytes([byte]) for byte in range(256)]
    for _ in range(200):
        screen = Screen(b"".join(chance.choices(pieces, k=300)), 24, 80)
        assert screen.html().count("\n") == screen.text.count("\n")


def test_vendored_files_are_those_that_are_written_down() -> None:
    sums = dict(line.split("  ")[::-1] for line in (VENDOR / "VENDOR.txt").read_text().splitlines() if "  " in line)
    files = {path.name for path in VENDOR.iterdir()} - {"VENDOR.txt"}
    assert files == {name for name in sums if not name.endswith(".tgz")}
    for name in files:
        assert hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() == sums[name], name
