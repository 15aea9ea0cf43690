"""Which of the engine's tests count as passed by a student's function: those that were run to their end."""

from pathlib import Path

import pytest

from toolkit.lab.replacement import Replaced, Verdict, judge

ENDINGS = {
    "raise KeyboardInterrupt": "it ended the tests instead of being tested",
    "raise unittest.SkipTest('no')": "skipped",
    "raise SystemExit(0)": "SystemExit",
}


def verdict_of(tmp_path: Path, text: str) -> Verdict:
    path = tmp_path / "sizes.py"
    path.write_text(text)
    return judge(Replaced("toolkit.core.units", "parse_bytes", str(path)), "core/test_sizes.py")


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_ends_a_test_does_not_pass_it_nor_those_after_it(tmp_path: Path, ending: str) -> None:
    text = f"import unittest\n\ndef parse_bytes(text):\n    if text == '0':\n        return 0\n    {ending}\n"
    verdict = verdict_of(tmp_path, text)
    assert verdict.passed == ("test_size_is_read_in_powers_of_1024[0-0]",)
    assert len(verdict.failed) > 10
    assert ENDINGS[ending] in verdict.complaint


def test_engines_own_function_is_no_students(tmp_path: Path) -> None:
    verdict = verdict_of(tmp_path, "from toolkit.core.units import parse_bytes\n")
    assert (verdict.passed, verdict.failed) == ((), ())
    assert "the engine's own parse_bytes" in verdict.complaint
