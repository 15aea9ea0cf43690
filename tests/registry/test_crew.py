"""The threads of a transfer: order of ends, the first failure, and interrupts."""

import threading
import time
from functools import partial

import pytest

from toolkit.core.errors import RegistryError
from toolkit.registry.crew import Crew
from toolkit.registry.failure import StoppedError
from toolkit.registry.transport import Transport
from toolkit.trace import recording, span


def fail(text: str) -> None:
    raise RegistryError(text)


def test_jobs_are_reported_in_the_order_in_which_they_end() -> None:
    first_may_end = threading.Event()
    with Crew(Transport(), [lambda: bool(first_may_end.wait(5)) or None, lambda: None], 2) as crew:
        ended = crew.finished()
        assert next(ended) == 1
        first_may_end.set()
        assert next(ended) == 0


def test_no_more_threads_than_wanted_run_at_a_time() -> None:
    running: list[int] = []
    most: list[int] = []

    def work(number: int) -> None:
        running.append(number)
        most.append(len(running))
        time.sleep(0.01)
        running.remove(number)

    with Crew(Transport(), [partial(work, number) for number in range(12)], 3) as crew:
        assert len(list(crew.finished())) == 12
    assert max(most) <= 3


def test_failure_keeps_waiting_jobs_from_being_begun() -> None:
    begun: list[int] = []
    jobs = [partial(fail, "first"), partial(time.sleep, 0.1), *(partial(begun.append, number) for number in range(5))]
    with Crew(Transport(), jobs, 2) as crew:
        time.sleep(0.3)  # the threads must stop by themselves, before anybody looks
        with pytest.raises(RegistryError, match="first"):
            list(crew.finished())
    assert begun == []


def test_failure_wakes_the_other_threads_and_is_the_one_that_is_raised() -> None:
    transport = Transport()

    def waits() -> None:
        transport.sleep(30)  # a pause between two attempts

    start_s = time.monotonic()
    with (
        pytest.raises(RegistryError, match="first"),
        Crew(transport, [waits, partial(fail, "first"), waits], 3) as crew,
    ):
        list(crew.finished())
    assert time.monotonic() - start_s < 5


def test_error_in_the_caller_stops_the_threads() -> None:
    transport = Transport()
    outcome: list[str] = []

    def waits() -> None:
        try:
            transport.sleep(30)
        except StoppedError:
            outcome.append("stopped")

    with pytest.raises(KeyboardInterrupt), Crew(transport, [waits], 1):
        raise KeyboardInterrupt
    assert outcome == ["stopped"]


def test_events_of_the_threads_reach_the_caller_s_recorder() -> None:
    def work() -> None:
        with span("test", "work()"):
            pass

    with recording() as recorder, Crew(Transport(), [work], 1) as crew:
        list(crew.finished())
    assert [event.call for event in recorder.events] == ["work()"]
