"""cgroup gauges: what a container uses, against limits that can be moved while it runs."""

import contextlib
import os
from typing import ClassVar

import traitlets

from toolkit.core.errors import ConflictError, InvalidError
from toolkit.core.units import format_binary_bytes
from toolkit.notebook.containers import seen_now
from toolkit.notebook.figures.gauges import draw
from toolkit.notebook.sampling import Sample, sampler_of
from toolkit.notebook.widgets.base import style
from toolkit.notebook.widgets.live import MovingWidget, Pulse, live_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator

    from toolkit.engine.container import Container as EngineContainer
    from toolkit.notebook.figures import Figure

_SHOWN = 61
_MIB = 1 << 20
_LIMITS = {"memory": "memory_bytes", "cpu": "nano_cpus", "pids": "pids_limit"}


class GaugesWidget(MovingWidget):
    """See `toolkit.notebook.pictures.gauges`."""

    _esm: ClassVar[str] = live_module("gauges")
    _css: ClassVar[str] = style("live", "gauges")
    recent: traitlets.List[list[float | None]] = traitlets.List().tag(sync=True)
    """The last minute of samples, each as a list in the order of Sample's fields."""
    state = traitlets.Dict().tag(sync=True)
    """Its name, how it ended, what is not counted here, the sums, and where each limit can be put."""

    def __init__(self, container: "EngineContainer") -> None:
        self._container = container
        self._sampler = sampler_of(container)
        super().__init__()
        with contextlib.suppress(ConflictError):
            self.sample()
        self._tell()

    @property
    def history(self) -> list[Sample]:
        """All samples so far, the oldest first; twenty minutes at most."""
        return list(self._sampler.history)

    @property
    def oom_kills(self) -> int:
        """How many processes the kernel has killed at the memory limit since the first sample."""
        return self._sampler.totals.oom_kills

    @property
    def throttled(self) -> int:
        """In how many periods the CPU quota has held it back since the first sample."""
        return self._sampler.totals.throttled

    def sample(self) -> Sample:
        """Look once, now.

        Raises:
            ConflictError: the container does not run.
        """
        return self._sampler.sample()

    @contextlib.contextmanager
    def recording(self, interval_s: float = 0.2) -> "Generator[GaugesWidget]":
        """Take samples while a `with` block runs, also where no page shows the picture."""
        pulse = Pulse(self.beat, interval_s, share=0.5)
        pulse.look("recording")
        try:
            yield self
        finally:
            pulse.stop()
            self.beat()

    def figure(self) -> "Figure":
        """Return the curves of what was sampled so far."""
        return draw(self._sampler)

    def beat(self) -> float:
        """Take a sample, unless another picture of this container has just done so."""
        try:
            self._sampler.sample(max_age_s=0.1)
        except ConflictError:
            pass  # it has ended: the state says how
        self._tell()
        return 0.0

    def limit(self, what: str, value: float) -> None:
        """Move a limit of the running container: "memory" in bytes, "cpu" in CPUs, "pids" in processes.

        Raises:
            InvalidError: no such limit, or a value that means nothing.
            ConflictError: the kernel does not take it, as a memory limit below what is in use.
        """
        field = _LIMITS.get(what)
        if field is None:
            raise InvalidError(f"no such limit: {what}", hint=f"one of {', '.join(_LIMITS)}")
        changes = {field: int(value * 1_000_000_000) if what == "cpu" else int(value)}
        if what == "memory":
            changes["memory_swap_bytes"] = changes[field]  # none beside it: at the limit the kernel kills
        container = seen_now(self._container)
        if container is None:
            raise ConflictError(f"container {self._sampler.name} has been removed", hint="start another one")
        container.update(**changes)
        self.beat()

    def do_limit(self, what: str, value: float) -> None:
        """Move a limit to where it was dragged."""
        self.limit(what, value)

    def _tell(self) -> None:
        sampler = self._sampler
        self.recent = [list(each) for each in list(sampler.history)[-_SHOWN:]]
        self.state = {
            "name": sampler.name,
            "ending": sampler.ending,
            "layout": sampler.layout,
            "lacking": sampler.lacking,
            "totals": sampler.totals._asdict(),
            "places": _places(),
        }


def _places() -> dict[str, list[list[float | str]]]:
    """Return where each limit can be put: value and words, the lowest first."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    memory = [size * _MIB for size in (8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 1024, 2048, 4096)]
    cpus = [
        cpu for cpu in (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0) if cpu <= (os.cpu_count() or 1)
    ]
    pids = (1, 2, 4, 8, 12, 16, 24, 32, 64, 128, 256, 512, 1024)
    return {
        "memory": [[size, format_binary_bytes(size)] for size in memory if size < total],
        "cpu": [[cpu, f"{cpu:g} CPUs"] for cpu in cpus],
        "pids": [[count, str(count)] for count in pids],
    }
