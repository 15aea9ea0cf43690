"""Reports come at a bounded rate, and no change of status is lost."""

import threading
import time

from toolkit.registry.progress import Progress, Reporter


def test_bytes_are_reported_ten_times_a_second_at_most() -> None:
    seen: list[Progress] = []
    report = Reporter(seen.append)
    end_s = time.monotonic() + 0.55
    current = 0
    while time.monotonic() < end_s:
        current += 1
        report("layer", "Downloading", current, 10**9)
    assert current > 100
    assert 2 <= len(seen) <= 6


def test_each_layer_has_its_own_rate() -> None:
    seen: list[Progress] = []
    report = Reporter(seen.append)
    for layer in ("a", "b", "c"):
        report(layer, "Downloading", 1, 2)
    assert [state.layer for state in seen] == ["a", "b", "c"]


def test_every_change_of_status_is_reported_at_once() -> None:
    seen: list[Progress] = []
    report = Reporter(seen.append)
    for status in ("Pulling fs layer", "Downloading", "Verifying Checksum", "Download complete"):
        report("a", status)
    assert len(seen) == 4


def test_callback_is_never_called_twice_at_a_time() -> None:
    busy = threading.Lock()
    overlaps: list[Progress] = []

    def callback(state: Progress) -> None:
        if not busy.acquire(blocking=False):
            overlaps.append(state)
            return
        time.sleep(0.002)
        busy.release()

    report = Reporter(callback)
    threads = [threading.Thread(target=lambda n=n: [report(str(n), str(i)) for i in range(20)]) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert overlaps == []
