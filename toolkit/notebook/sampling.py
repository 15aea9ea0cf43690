"""What a container uses, again and again: samples of its cgroups, and what came between two of them.

All of it is read by the engine's own readers from the cgroup files, of v1 or
v2, limits included: what counts is what the kernel holds, not what was typed.
A value of None: its controller is not here, or does not count for this
container; a limit of None: there is none.
"""

import threading
import time
from collections import deque
from typing import NamedTuple
from weakref import WeakValueDictionary

from toolkit.core.errors import ConflictError
from toolkit.engine.status import EXITED
from toolkit.notebook.containers import seen_now

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.engine.container import Container
    from toolkit.linux.cgroup.stats import Stats

_KEPT = 1200
_CURE = "`container doctor` says how to get it"
_NEEDED = {"memory": ("memory",), "cpu": ("cpu",), "pids": ("pids",), "disk": ("io", "blkio")}


class Sample(NamedTuple):
    """What a container used at one moment, and since the sample before."""

    at_s: float
    """Seconds since the epoch."""
    memory_bytes: int | None
    """Page cache included: what the limit counts."""
    memory_limit_bytes: int | None
    cpus: float | None
    """How many CPUs it kept busy since the sample before; None for the first."""
    cpu_limit: float | None
    throttled: int
    """In how many periods since the sample before the quota held it back."""
    periods: int
    """How many periods there were since then in which it wanted to run."""
    pids: int | None
    pids_limit: int | None
    refused_forks: int
    """Since the sample before."""
    read_bytes: int | None
    """Since its start, from all disks."""
    written_bytes: int | None
    oom_kills: int
    """Since the sample before."""


class Totals(NamedTuple):
    """Counted since the first sample."""

    oom_kills: int = 0
    throttled: int = 0
    periods: int = 0
    refused_forks: int = 0

    def plus(self, sample: Sample) -> "Totals":
        """Return the sums with one more sample."""
        return Totals(
            self.oom_kills + sample.oom_kills,
            self.throttled + sample.throttled,
            self.periods + sample.periods,
            self.refused_forks + sample.refused_forks,
        )


class Sampler:
    """Takes samples of one container; whoever looks at the same container shares it."""

    def __init__(self, container: "Container") -> None:
        self.name = container.name
        self.history: deque[Sample] = deque(maxlen=_KEPT)
        self.totals = Totals()
        self.ending = ""
        """How it ended, in words; empty while it runs."""
        self._container = container
        self._lock = threading.Lock()
        self._last: tuple[float, Stats] | None = None
        self.layout = container.cgroups.kind
        """"v1", "v2", "hybrid" or "none"."""
        self.lacking = _lacking(container.cgroups.controllers)
        """What is not counted on this machine, and why."""

    def sample(self, max_age_s: float = 0.0) -> Sample:
        """Take a sample; return the last one where that is not older than `max_age_s`.

        Raises:
            ConflictError: the container does not run; `ending` says how it ended.
        """
        with self._lock:
            if self._last is not None and self.history and time.monotonic() - self._last[0] < max_age_s:
                return self.history[-1]
            taken = self._take()
            self.history.append(taken)
            self.totals = self.totals.plus(taken)
            return taken

    def _take(self) -> Sample:
        container = seen_now(self._container)
        try:
            if container is None:
                raise ConflictError(f"container {self.name} has been removed")
            now_s, stats = time.monotonic(), container.stats()
        except ConflictError:
            self._note_end(container)
            raise
        if self._last is not None and self._is_restarted(stats):
            self._last = None
        self.name, self.ending = container.name, ""
        before, self._last = self._last, (now_s, stats)
        return _between(before, (now_s, stats))

    def _is_restarted(self, stats: "Stats") -> bool:
        """Tell whether its groups are new ones, in which all counts begin at 0 again."""
        before = self._last[1].cpu if self._last else None
        return before is not None and stats.cpu is not None and stats.cpu.usage_ns < before.usage_ns

    def _note_end(self, container: "Container | None") -> None:
        if self.ending:
            return
        status = None if container is None else container.read_status()
        if status is None or status.exit is None or status.state != EXITED:
            self.ending = "it has been removed" if status is None else f"it is {status.state}"
            return
        self.ending = f"it ended with exit code {status.exit.code}"
        if status.exit.oom_killed:
            self.ending += ": the kernel killed it, since it was at its memory limit (OOM)"
            self._last_kill()

    def _last_kill(self) -> None:
        """Count the kill that ended it where its groups went before a sample could tell."""
        if self.history and not self.totals.oom_kills:
            last = self.history[-1]
            self.history[-1] = last._replace(oom_kills=last.oom_kills + 1)
            self.totals = self.totals._replace(oom_kills=1)


def _lacking(controllers: frozenset[str]) -> dict[str, str]:
    return {
        what: f"this machine has no cgroup controller {names[0]}: {_CURE}"
        for what, names in _NEEDED.items()
        if not controllers.intersection(names)
    }


def _between(before: "tuple[float, Stats] | None", after: "tuple[float, Stats]") -> Sample:
    """Make a sample of what was counted at two moments."""
    (now_s, now), (then_s, then) = after, before or after
    memory, cpu, pids, block = now.memory, now.cpu, now.pids, now.block
    used_ns = cpu.usage_ns - then.cpu.usage_ns if cpu and then.cpu else None
    return Sample(
        at_s=time.time(),
        memory_bytes=memory.usage_bytes if memory else None,
        memory_limit_bytes=memory.limit_bytes if memory else None,
        cpus=used_ns / 1e9 / (now_s - then_s) if used_ns is not None and now_s > then_s else None,
        cpu_limit=cpu.limit_cpus if cpu else None,
        throttled=cpu.throttled_periods - then.cpu.throttled_periods if cpu and then.cpu else 0,
        periods=cpu.periods - then.cpu.periods if cpu and then.cpu else 0,
        pids=pids.current if pids else None,
        pids_limit=pids.limit if pids else None,
        refused_forks=pids.failures - then.pids.failures if pids and then.pids else 0,
        read_bytes=sum(each.read_bytes for each in block) if block is not None else None,
        written_bytes=sum(each.write_bytes for each in block) if block is not None else None,
        oom_kills=memory.oom_kills - then.memory.oom_kills if memory and then.memory else 0,
    )


_samplers: "WeakValueDictionary[tuple[str, str], Sampler]" = WeakValueDictionary()


def sampler_of(container: "Container") -> Sampler:
    """Return the sampler of a container: all pictures of it share one."""
    key = (container.engine.paths.root, container.id)
    found = _samplers.get(key)
    if found is None:
        found = _samplers[key] = Sampler(container)
    return found
