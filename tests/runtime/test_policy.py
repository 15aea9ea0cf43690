"""When a container is started again, and after how long: docker's cases and numbers, without a container."""

import pytest

from toolkit.runtime.policy import Policy, decide


def _policy(name: str, **fields: object) -> Policy:
    return Policy(name, 0, (), **fields)  # type: ignore[arg-type]  # a test's words


@pytest.mark.parametrize(
    ("name", "code", "asked", "restarts"),
    [
        ("always", 0, "", True),
        ("always", 1, "", True),
        ("always", 0, "signal", True),
        ("always", 0, "stop", False),
        ("always", 0, "restart", False),
        ("unless-stopped", 0, "", True),
        ("unless-stopped", 0, "signal", False),
        ("unless-stopped", 0, "stop", False),
        ("on-failure", 0, "", False),
        ("on-failure", 3, "", True),
        ("on-failure", 3, "signal", True),
        ("on-failure", 3, "stop", False),
        ("no", 1, "", False),
        ("nonsense", 1, "", False),
    ],
)
def test_policy_decides_as_docker_does(name: str, code: int, asked: str, *, restarts: bool) -> None:
    assert (decide(_policy(name), code=code, ran_s=0.1, asked=asked) is not None) is restarts


def test_on_failure_gives_up_after_its_count() -> None:
    policy: Policy | None = Policy("on-failure", 2, ())
    for expected in (1, 2):
        assert policy is not None
        policy = decide(policy, code=1, ran_s=0, asked="")
        assert policy is not None
        assert policy.restarts == expected
    assert policy is not None
    assert decide(policy, code=1, ran_s=0, asked="") is None


def test_delay_doubles_from_100_ms_to_a_minute() -> None:
    policy, delays = _policy("always"), []
    for _ in range(12):
        following = decide(policy, code=1, ran_s=0, asked="")
        assert following is not None
        policy = following
        delays.append(policy.delay_s)
    assert delays == [pytest.approx(min(0.1 * 2**power, 60)) for power in range(12)]


def test_who_ran_ten_seconds_begins_with_the_first_delay_again() -> None:
    policy = _policy("always", restarts=9, delay_s=51.2)
    proven = decide(policy, code=1, ran_s=10, asked="")
    early = decide(policy, code=1, ran_s=9.9, asked="")
    assert proven is not None
    assert early is not None
    assert (proven.delay_s, proven.restarts) == (0.1, 10)
    assert (early.delay_s, early.restarts) == (60, 10)
