"""A monitor and the keeper of its worker's memory, which look after one container after the other."""

import os
import signal

import pytest

from tests.support.attacker import sabotage_zygote
from tests.support.engines import BUSYBOX, Ran, collect, run
from tests.support.family import Family
from tests.support.patience import wait_until
from toolkit.core.errors import CommandNotFoundError
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions
from toolkit.linux import keeper

pytestmark = [
    pytest.mark.needs("root", "overlay", "busybox"),
    pytest.mark.skipif(keeper.load() is None, reason="nobody keeps a worker's memory here"),
]
_TRIES = 200
"""How often a machine that is busy may be too slow, and a pair be used once."""


def _makers(engine: Engine, *argv: str, **options: object) -> tuple[Ran, int]:
    """Run a command; return what came of it, and the pid of the keeper that has borne its process."""
    made = ContainerOptions(BUSYBOX, argv, auto_remove=True, **options)  # type: ignore[arg-type]  # a test's words
    attachment = engine.containers.create(made).start(attach=True, trace=True)
    assert attachment is not None
    ran = collect(attachment)
    return ran, next(event.pid for event in attachment.events if event.area == "namespace.clone")


def _run_reused(engine: Engine, *argv: str, **options: object) -> Ran:
    """Run a command until its process is borne by a keeper that has borne others."""
    seen: set[int] = set()
    for _try in range(_TRIES):
        ran, maker = _makers(engine, *argv, **options)
        if maker in seen:
            return ran
        seen.add(maker)
    raise AssertionError("no pair was used twice")


@pytest.mark.parametrize(
    "script",
    [
        "ls /proc/self/fd; umask; pwd; id; env",
        "cat /proc/self/status | grep -E '^(Cap|Seccomp|NoNewPrivs|Sig[BCIP]|Shd)'",
        "cat /proc/self/limits /proc/self/oom_score_adj; echo /proc/[0-9]*",
        "cat /proc/self/mountinfo | cut -d' ' -f5,6 | grep -v etc; mount | wc -l",
    ],
)
def test_container_of_a_pair_that_was_used_before_is_like_any_other(engine: Engine, script: str) -> None:
    engine.launcher.zygote.stop()
    fresh, _maker = _makers(engine, "sh", "-c", script, hostname="box")  # of a new zygote's first pair
    again = _run_reused(engine, "sh", "-c", script, hostname="box")
    assert (fresh.code, fresh.err) == (0, "")
    assert again == fresh


@pytest.mark.parametrize(("limit", "most"), [("_LIVES = 2", 2), ("_LASTS_NS = 0", 1)])
def test_pair_is_used_up_after_a_while(
    engine: Engine, family: Family, monkeypatch: pytest.MonkeyPatch, limit: str, most: int
) -> None:
    sabotage_zygote(engine, monkeypatch, f"import toolkit.runtime.stem as stem; stem.{limit}")
    used: list[int] = [_makers(engine, "true")[1] for _try in range(60)]
    assert max(used.count(maker) for maker in used) == most
    wait_until(lambda: not family.strays(), 5)


def test_what_the_kernel_gives_to_all_who_share_memory_is_not_passed_on(engine: Engine) -> None:
    for _again in range(10):
        assert run(engine, "cat", "/proc/self/oom_score_adj", oom_score_adj=100).out == "100\n"
        assert run(engine, "cat", "/proc/self/oom_score_adj").out == "0\n"


def test_start_that_fails_uses_a_pair_up(engine: Engine, family: Family) -> None:
    for _again in range(3):
        with pytest.raises(CommandNotFoundError):
            run(engine, "/none")
        assert run(engine, "sh", "-c", "exit 3").code == 3
    wait_until(lambda: not family.strays(), 5)


@pytest.mark.parametrize("role", ["zygote", "monitor", "worker", "keeper"])
def test_whoever_of_a_used_pair_is_killed_disturbs_nobody(engine: Engine, family: Family, role: str) -> None:
    _run_reused(engine, "true")
    pids = dict(zip(("zygote", "monitor", "worker"), family.reserve(), strict=True))
    pids["keeper"] = family.keeper(pids["worker"])
    os.kill(pids[role], signal.SIGKILL)
    assert run(engine, "sh", "-c", "exit 3").code == 3
    wait_until(lambda: not family.strays(), 5)


@pytest.fixture
def family(engine: Engine) -> Family:
    """Return who is who among the engine's processes."""
    return Family(engine)
