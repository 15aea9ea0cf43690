"""One deed on several objects, as `docker rm a b c` does it: the others go on when one fails."""

from toolkit.cli.command import PROGRAM
from toolkit.cli.session import Outcome
from toolkit.core.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from toolkit.cli.flags import Parsed
    from toolkit.cli.session import Session
    from toolkit.engine import Container


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


def each_container(session: "Session", parsed: "Parsed", deed: "Callable[[Container], object]") -> Outcome:
    """Do `deed` to each container that is named, and print its name as it was given; the outcome has the containers."""

    def do(name: str) -> "Container":
        container = session.engine.containers.get(name)
        deed(container)
        session.print(name)
        return container

    return each(session, parsed.args, do)
