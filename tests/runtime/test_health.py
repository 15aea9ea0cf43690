"""What probes say about a container's health: docker's rules, without a container."""

import pytest

from toolkit.runtime.health import HEALTHY, STARTING, UNHEALTHY, Check, Health, Result


def _result(code: int, ran_s: float = 100) -> Result:
    return Result("a", "b", code, "", ran_s)


def _after(codes: list[int], check: Check, ran_s: float = 100) -> Health:
    health = Health()
    for code in codes:
        health = health.after(_result(code, ran_s), check)
    return health


@pytest.mark.parametrize(
    ("codes", "status", "streak"),
    [
        ([], STARTING, 0),
        ([0], HEALTHY, 0),
        ([1], STARTING, 1),
        ([1, 1], STARTING, 2),
        ([1, 1, 1], UNHEALTHY, 3),
        ([1, 1, 1, 1], UNHEALTHY, 4),
        ([0, 1, 1], HEALTHY, 2),
        ([0, 1, 1, -1], UNHEALTHY, 3),
        ([1, 1, 1, 0], HEALTHY, 0),
    ],
)
def test_so_many_failures_in_a_row_make_it_unhealthy_and_one_success_healthy(
    codes: list[int], status: str, streak: int
) -> None:
    health = _after(codes, Check())
    assert (health.status, health.streak) == (status, streak)


def test_failures_in_the_start_period_do_not_count_until_the_first_success() -> None:
    check = Check(start_period_s=10)
    assert _after([1] * 9, check, ran_s=9).streak == 0
    assert _after([1] * 9, check, ran_s=9).status == STARTING
    assert _after([0, 1, 1, 1], check, ran_s=9).status == UNHEALTHY
    assert _after([1, 1, 1], check, ran_s=11).status == UNHEALTHY


def test_last_five_results_are_kept() -> None:
    health = _after([1, 2, 3, 4, 5, 6, 7], Check())
    assert [result.code for result in health.results] == [3, 4, 5, 6, 7]
    assert [entry["ExitCode"] for entry in health.document()["Log"]] == [3, 4, 5, 6, 7]


def test_probes_come_quicker_while_it_starts() -> None:
    check = Check(interval_s=30, start_period_s=10, start_interval_s=2)
    assert Health().pause_s(3, check) == 2
    assert Health().pause_s(11, check) == 30
    assert Health(HEALTHY).pause_s(3, check) == 30
    assert Health().pause_s(3, Check(interval_s=30)) == 30
