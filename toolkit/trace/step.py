"""A step of a plan, in words: what a recording keeps, and a picture shows, of `runtime.steps`."""

from toolkit.core.record import NamedTuple


class StepFacts(NamedTuple):
    """What is to be said of one step of a plan."""

    number: int
    """Its place in the plan, counted from 1: what is shown, and what `run_until` takes."""
    name: str
    """The step's class: "PivotRoot"."""
    actor: str
    """Which process does it: "init", the container's own first process, or "outside"."""
    phase: str
    """Which part of the work it belongs to: "namespace", "rootfs", "cgroup", ..."""
    why: str
    """One sentence on why it is there."""
    see: str
    """Its man page or section of a specification."""
    calls: tuple[str, ...]
    """The calls it makes, as strace would print them."""
    in_reserve: bool = False
    """It was done before anyone asked, by the process that a zygote keeps ready."""

    @property
    def syscalls(self) -> tuple[str, ...]:
        """The names of the calls, each once, in order."""
        return tuple(dict.fromkeys(call.partition("(")[0] for call in self.calls))


def shortened(call: str) -> str:
    """Shorten the ids of containers and layers in a call, which fill the lines otherwise."""
    import re

    return re.sub(r"\b([0-9a-f]{12})[0-9a-f]{52}\b", r"\1…", call)
