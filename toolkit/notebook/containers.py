"""Containers by whatever name a learner has for them, and the engine that this kernel's cells use.

A picture that moves looks at containers from a thread of its own, and a state
database is its thread's alone: so each thread has an engine of its own on the
same directories.
"""

import threading

from toolkit.core.errors import InvalidError, NotFoundError
from toolkit.notebook.session import CellSession
from toolkit.notebook.values import Container

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.engine import Engine
    from toolkit.engine.container import Container as EngineContainer

_own = threading.local()


def the_engine() -> "Engine":
    """Return the engine of this kernel's `%container` commands, for this thread."""
    return here(CellSession(None).engine)


def find(container: "Container | EngineContainer | str") -> "EngineContainer":
    """Return the engine's own object.

    Args:
        container: the value of `%container run -d`, the engine's own object, a name or an id.

    Raises:
        NotFoundError: there is no container of that name or id.
        InvalidError: something else than a container.
    """
    from toolkit.engine.container import Container as EngineContainer

    if isinstance(container, str):
        return the_engine().containers.get(container)
    found = container.raw if isinstance(container, Container) else container
    if not isinstance(found, EngineContainer):
        raise InvalidError(
            f"{container!r} is no container", hint="pass what `%container run -d ...` returned, or a name"
        )
    return found


def here(engine: "Engine") -> "Engine":
    """Return an engine on the same directories that this thread may use."""
    from toolkit.engine import Engine

    if threading.current_thread() is threading.main_thread():
        return engine
    engines: dict[str, Engine] = _own.__dict__.setdefault("engines", {})
    if engine.paths.root not in engines:
        engines[engine.paths.root] = Engine(engine.paths)
    return engines[engine.paths.root]


def seen_now(container: "EngineContainer") -> "EngineContainer | None":
    """Return the same container for this thread, with the name that it has now; None where it has been removed."""
    try:
        return here(container.engine).containers.get(container.id)
    except NotFoundError:
        return None


def close_here() -> None:
    """Close the engines that this thread has opened; at its end."""
    engines: dict[str, Engine] = _own.__dict__.get("engines", {})
    while engines:
        engines.popitem()[1].close()
