"""Waiting for what a monitor cannot tell of, since there may be none yet or none any more: by the journal of events."""

import time

from toolkit.core.errors import InvalidError, NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.engine.container import Container

CONDITIONS = ("not-running", "next-exit", "removed")
_LAST = {"next-exit": "die", "removed": "destroy"}


def wait(one: "Container", condition: str) -> int:
    """Wait for the next exit or the removal of a container; return its exit code, 0 if it never ran.

    Raises:
        InvalidError: another condition.
        NotFoundError: it is not there, or was removed while its next exit was waited for.
    """
    if condition not in _LAST:
        raise InvalidError(f'invalid condition: "{condition}"', hint=f"one of {', '.join(CONDITIONS)}")
    engine, began_ns = one.engine, time.time_ns()
    engine.containers.get(one.id)
    ended = one.read_status().exit
    code = ended.code if ended else 0

    def look_after() -> None:
        """Have the end written down of a container whose monitor was killed: nobody else may come."""
        engine.recovery.recover(one.id)

    for event in engine.events.follow(
        since_ns=began_ns, is_wanted=lambda event: event.get("id") == one.id, tick=look_after
    ):
        if event["Action"] == "die":
            code = int(event["Actor"]["Attributes"]["exitCode"])
        if event["Action"] == _LAST[condition]:
            return code
        if event["Action"] == "destroy":
            break
    raise NotFoundError(f"No such container: {one.name}", hint="it was removed while it was waited for")
