"""One deed on several objects, as `docker rm a b c` does it: the others go on when one fails."""

from toolkit.cli.command import PROGRAM
from toolkit.cli.session import Outcome
from toolkit.core.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from toolkit.cli.session import Session


def each(session: "Session", names: "Sequence[str]", deed: "Callable[[str], Any]") -> Outcome:
    """Do `deed` for each name; complain about those that fail and exit with 1 if any did.

    The outcome's value is the list of what `deed` returned, without the failures.
    """
    values: list[Any] = []
    error: EngineError | None = None
    for name in names:
        try:
            values.append(deed(name))
        except EngineError as exc:
            session.complain(f"{PROGRAM}: {exc}")
            error = exc
    return Outcome(0 if error is None else 1, values, error)
