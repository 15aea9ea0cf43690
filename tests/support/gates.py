"""Starting a container with a say before each of its steps."""

from collections.abc import Callable

from toolkit.core.errors import AbortedError
from toolkit.engine.attachment import Attachment
from toolkit.engine.container import Container


def start_gated(container: Container, gate: Callable[[int], bool]) -> Attachment:
    """Start it; ask `gate` before each step, with its index: False gives the container up.

    Raises:
        AbortedError: it was given up.
    """
    stepper = container.step()
    try:
        while stepper.is_half_made:
            if not gate(stepper.index):
                raise AbortedError("given up at a gate")
            stepper.next()
    except BaseException:
        stepper.close()
        raise
    assert stepper.attachment is not None
    return stepper.attachment
