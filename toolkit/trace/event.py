"""One event: a call, what it returned and what it cost."""

from toolkit.core.record import NamedTuple

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Event(NamedTuple):
    """A call to the kernel (or an exchange with a registry) that is over."""

    area: str
    """Where it belongs, dotted, coarse to fine: "mount.move", "cgroup.write", "http.get"."""
    call: str
    """The call as strace prints it, without its result: `setns(5, CLONE_NEWNET)`."""
    result: int
    """What the call returned; -1 where it failed."""
    errno: str
    """The errno's name where it failed, else empty."""
    start_ns: int
    """CLOCK_MONOTONIC when the call began, so events of several processes can be merged."""
    cost_ns: int
    """How long the call took."""
    pid: int
    """The process that made the call, as its own /proc sees it (see `actor`)."""
    actor: str
    """Which of the engine's processes that was: "client", "monitor", "init"."""
    step: int
    """Index of the plan's step that made the call; -1 outside a plan."""

    def strace(self) -> str:
        """Return the whole line as strace prints it."""
        failed = f" {self.errno}" if self.errno else ""
        return f"{self.call} = {self.result}{failed}"

    def to_json(self) -> "list[Any]":
        """Return the fields as a JSON array, the form in which events travel."""
        return list(self)

    @classmethod
    def from_json(cls, fields: "list[Any]") -> "Event":
        """Make an event of what `to_json` returned."""
        return cls(*fields)
