"""Signals are plain numbers that know their names."""

import signal

import pytest

from toolkit.linux import signals


@pytest.mark.parametrize("known", [one for one in signal.Signals if not one.name.startswith("SIGRT")])
def test_name_is_the_one_of_the_standard_library(known: signal.Signals) -> None:
    assert signals.name(known.value) == known.name


def test_real_time_signals_are_named_as_strace_does() -> None:
    assert [signals.name(number) for number in (34, 64)] == ["SIGRT_2", "SIGRT_32"]


def test_constants_are_no_enums() -> None:
    assert {type(vars(signals)[name]) for name in signals.__all__ if name.startswith("SIG")} == {int}
