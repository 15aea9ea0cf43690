"""The engine as one object: what the command line, notebooks and the API build on."""

from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions, ExecOptions, Ulimit

__all__ = ["ContainerOptions", "Engine", "ExecOptions", "Ulimit"]
