"""What a container's health checks say about it: docker's rules, without a process.

See Also:
    moby, daemon/health.go
"""

import os

from toolkit.core import document
from toolkit.core.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

STARTING = "starting"
HEALTHY = "healthy"
UNHEALTHY = "unhealthy"
HEALTH_FILE = "health.json"
"""In the container's own directory: the state as docker's API shows it."""
MAX_RESULTS = 5
MAX_OUTPUT = 4096
"""Bytes of a probe's output that are kept."""


class Check(NamedTuple):
    """How, how often and how patiently to ask a container whether it is well; in seconds, docker's defaults."""

    interval_s: float = 30.0
    timeout_s: float = 30.0
    start_period_s: float = 0.0
    """As long after the start failures do not count, until the first success."""
    start_interval_s: float = 5.0
    """Between probes in that time."""
    retries: int = 3
    """So many failures in a row mean that it is unhealthy."""
    on_failure: str = ""
    """What to do when it has become unhealthy: "kill", "stop", "restart"; empty or "none": nothing."""


class Result(NamedTuple):
    """How one probe ended."""

    start: str
    end: str
    code: int
    """-1: it could not be run, or took too long."""
    output: str
    ran_s: float = 0.0
    """How long the container had run when it began."""


class Health(NamedTuple):
    """What is known about a container's health."""

    status: str = STARTING
    streak: int = 0
    """Failures in a row."""
    results: tuple[Result, ...] = ()
    """The last few, the newest last."""

    def after(self, result: Result, check: Check) -> "Health":
        """Return what is known once a probe has ended."""
        results = (*self.results, result)[-MAX_RESULTS:]
        if result.code == 0:
            return Health(HEALTHY, 0, results)
        if self.status == STARTING and result.ran_s < check.start_period_s:
            return self._replace(results=results)
        streak = self.streak + 1
        return Health(UNHEALTHY if streak >= check.retries else self.status, streak, results)

    def pause_s(self, ran_s: float, check: Check) -> float:
        """Return how long to wait for the next probe."""
        is_early = self.status == STARTING and ran_s < check.start_period_s
        return check.start_interval_s if is_early else check.interval_s

    def document(self) -> "dict[str, Any]":
        """Return it as docker's API shows it."""
        log = [
            {"Start": result.start, "End": result.end, "ExitCode": result.code, "Output": result.output}
            for result in self.results
        ]
        return {"Status": self.status, "FailingStreak": self.streak, "Log": log}

    def write(self, directory: str) -> None:
        """Store it among the container's files; where that cannot be (a full disk) the next time may do."""
        path = f"{directory}/{HEALTH_FILE}"
        try:
            with open(f"{path}.new", "wb") as file:
                file.write(document.encode(self.document()))
            os.rename(f"{path}.new", path)
        except OSError:
            pass  # it is known here all the same, and acted upon


def read(directory: str) -> "dict[str, Any]":
    """Return what is stored about the health of the container whose files lie in `directory`, as docker shows it."""
    try:
        with open(f"{directory}/{HEALTH_FILE}", "rb") as file:
            stored: dict[str, Any] = document.decode(file.read())
            return stored
    except (FileNotFoundError, ValueError):
        return Health().document()
