"""Recordings of what cells have shown: they hold every cell, can be read, and are refused where they are broken."""

import os
from pathlib import Path

import nbformat
import pytest

from tests.support.notebooks import render, sources
from tests.support.recordings import name_of, recordable
from toolkit.core.errors import IntegrityError, InvalidError, NotFoundError
from toolkit.notebook import recorded_cells
from toolkit.notebook.recorded_cells import Recording, key, load, parse

MADE = Recording("2026-11-28", "6.1", "x86_64", {key("a"): [{"text/plain": "1"}], key("b"): []})
_MOST_BYTES = 60_000
_AGAIN = "run: python -m tests.support.recordings"


@pytest.mark.parametrize("source", sources(), ids=os.path.basename)
def test_recording_has_every_cell_of_its_lesson_and_no_other(source: str) -> None:
    cells = recordable(nbformat.reads(render(source), as_version=4))
    assert set(load(name_of(source)).cells) == {key(cell.source) for cell in cells}, _AGAIN


@pytest.mark.parametrize("source", sources(), ids=os.path.basename)
def test_lesson_names_its_own_recording(source: str) -> None:
    assert f'recording="{name_of(source)}")' in render(source).replace('\\"', '"')


@pytest.mark.parametrize("source", sources(), ids=os.path.basename)
def test_recording_is_small_and_says_when_and_where(source: str) -> None:
    recording = load(name_of(source))
    assert len(recorded_cells.render(recording)) < _MOST_BYTES
    assert recording.origin.startswith("made on 20")
    assert "under Linux " in recording.origin


def test_what_is_rendered_is_read() -> None:
    assert parse(recorded_cells.render(MADE), "x") == MADE


def test_blanks_at_the_ends_of_lines_do_not_matter_and_all_else_does() -> None:
    assert key("a\n  b \n") == key("a\n  b")
    assert key("a\n  b") != key("a\n b")


def test_recording_that_was_cut_short_is_refused() -> None:
    whole = recorded_cells.render(MADE)
    with pytest.raises(IntegrityError, match="x is cut short: it has 1 of 2 cells"):
        parse("".join(whole.splitlines(keepends=True)[:2]), "x")
    with pytest.raises(IntegrityError, match="x is cut short, or is no recording"):
        parse(whole[:-5], "x")
    with pytest.raises(IntegrityError, match="is no recording"):
        parse("", "x")


def test_other_ends_of_lines_in_what_was_shown_are_no_ends_of_the_files() -> None:
    made = MADE._replace(cells={key("a"): [{"text/plain": "one\u2028two\x85three"}]})
    assert parse(recorded_cells.render(made), "x") == made


@pytest.mark.parametrize(
    "line",
    [
        '{"key": "a"}',
        "[1]",
        "null",
        '{"key": "a", "outputs": [1]}',
        '{"key": "a", "outputs": [{"stream": "stdout"}]}',
        '{"key": "a", "outputs": [{"text/plain": 1}]}',
        '{"outputs": []}\n{"outputs": []}',
    ],
)
def test_damaged_cell_is_refused_and_not_a_fault_later(line: str) -> None:
    head = recorded_cells.render(MADE).split("\n")[0].replace('"cells": 2', f'"cells": {len(line.splitlines())}')
    with pytest.raises(IntegrityError, match="x is damaged"):
        parse(f"{head}\n{line}\n", "x")


def test_head_without_a_date_is_refused() -> None:
    with pytest.raises(IntegrityError, match="x is damaged"):
        parse(recorded_cells.render(MADE).replace('"made"', '"mad"'), "x")


def test_file_that_is_no_text_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recordings").mkdir()
    (tmp_path / "recordings" / "bytes.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(IntegrityError, match="cannot be read"):
        load("bytes")


def test_recording_of_another_version_is_refused() -> None:
    with pytest.raises(InvalidError, match="'container-toolkit cells 2', and this program reads"):
        parse(recorded_cells.render(MADE).replace('"version": 1', '"version": 2'), "x")


def test_recording_that_is_not_there_is_not_found() -> None:
    with pytest.raises(NotFoundError, match="there is no recording"):
        load("no-such")
