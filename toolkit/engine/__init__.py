"""The engine as one object: what the command line, notebooks and the API build on."""

from toolkit.engine.options import ContainerOptions, ExecOptions, Ulimit

__all__ = ["Attachment", "Container", "ContainerOptions", "Engine", "ExecOptions", "Ulimit"]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from toolkit.engine.attachment import Attachment
    from toolkit.engine.container import Container
    from toolkit.engine.engine import Engine

_LAZY = {"Attachment": "attachment", "Container": "container", "Engine": "engine"}


def __getattr__(name: str) -> "Any":
    """Import what is asked for: the options are cheap, the engine behind them is not."""
    if name not in _LAZY:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = __import__(f"{__name__}.{_LAZY[name]}", fromlist=[name])
    return getattr(module, name)
