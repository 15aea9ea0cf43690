"""The engine: images, containers and what holds them together, over one pair of directories.

Any number of processes may have the same engine open; none of them is special.
"""

import os
import sys
from functools import cached_property

from toolkit.core.errors import PrivilegeError
from toolkit.core.state import State
from toolkit.engine.containers import Containers
from toolkit.engine.events import Events
from toolkit.engine.images import EngineImages
from toolkit.engine.paths import Paths
from toolkit.engine.recovery import Recovery

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Self

    from toolkit.engine.cgroups import Cgroups
    from toolkit.engine.launcher import Launcher
    from toolkit.engine.networks import Networks
    from toolkit.engine.options import ContainerOptions
    from toolkit.engine.settings import Settings
    from toolkit.engine.volumes import Volumes
    from toolkit.runtime.plan import Filter
    from toolkit.runtime.spec import Process


class Engine:
    """One engine root, opened."""

    def __init__(self, paths: Paths) -> None:
        """Open the engine at `paths`, making its directories; use `Engine.open`."""
        self.paths = paths
        self.config_file = ""
        """Where the configuration lies; empty: at its usual place."""
        try:
            paths.create()
        except PermissionError as exc:
            raise PrivilegeError(
                f"no permission to use the engine's directory {exc.filename}",
                hint="run as root, or set CONTAINER_ROOT to a directory of your own",
            ) from exc
        self.state = State(paths.state)
        self.events = Events(paths)
        self.images = EngineImages(self)
        self.recovery = Recovery(self)
        self.containers = Containers(self)

    @classmethod
    def open(cls, root: str | None = None, run_dir: str | None = None) -> "Engine":
        """Open an engine and put right what a killed process has left there.

        Args:
            root: where everything lies that lasts; None: CONTAINER_ROOT, else /var/lib/container-toolkit.
            run_dir: where the rest lies; None: CONTAINER_RUN, else /run/container-toolkit.

        Raises:
            PrivilegeError: not allowed to write there.
        """
        engine = cls(Paths.find(root, run_dir))
        engine.recovery.run()
        return engine

    @classmethod
    def finish(cls, root: str, run_dir: str, ident: str) -> None:
        """Remove an ended container of --rm, unless somebody has: then the engine's directories may be gone as well."""
        if os.path.isdir(Paths(root, run_dir).run_dir(ident)):
            with cls.open(root, run_dir) as engine:
                engine.recovery.recover(ident)

    @cached_property
    def cgroups(self) -> "Cgroups":
        """The containers' control groups; found on this host at first use, since looking needs none of them."""
        from toolkit.engine.cgroups import Cgroups

        return Cgroups()

    @property
    def settings(self) -> "Settings":
        """What the configuration file says at this moment.

        Raises:
            InvalidError: it means nothing.
        """
        from toolkit.engine import settings

        return settings.of_engine(self.paths.root, self.config_file)

    @cached_property
    def capabilities(self) -> int:
        """What this process can hand on to a container: a machine may keep some for itself."""
        from toolkit.linux import capability

        return capability.bounding_set()

    @cached_property
    def volumes(self) -> "Volumes":
        """The volumes; for those who have any."""
        from toolkit.engine.volumes import Volumes

        return Volumes(self)

    @cached_property
    def launcher(self) -> "Launcher":
        """What starts containers; 50 ms of imports, for those who start one."""
        from toolkit.engine.launcher import Launcher

        return Launcher(self)

    @cached_property
    def networks(self) -> "Networks":
        """What connects containers; loaded for those who have to do with it."""
        from toolkit.engine.networks import Networks

        return Networks(self)

    def close(self) -> None:
        """Close the state; containers go on."""
        self.recovery.close()
        self.state.close()

    def shutdown(self) -> None:
        """Have the zygote and the network process leave too; containers, and what connects them, go on."""
        self.launcher.zygote.stop()
        if os.path.exists(f"{self.paths.run}/network.lock"):
            self.networks.process.stop()
        self.close()

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()

    def remover(self, ident: str) -> tuple[str, ...]:
        """Return the command that removes an ended container of --rm when nobody is attached."""
        source = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        program = (
            f"import sys; sys.path.insert(0, {source!r}); from toolkit.engine.engine import Engine; "
            f"Engine.finish({self.paths.root!r}, {self.paths.run!r}, {ident!r})"
        )
        return (sys.executable, "-I", "-S", "-c", program)

    def seccomp_filter(self, options: "ContainerOptions", process: "Process") -> "Filter | None":
        """Return the compiled filter for a process, or None where it is to have none."""
        from toolkit.engine import filters

        return filters.compiled(self.paths.root, options, process)

    def info(self) -> "dict[str, Any]":
        """Return what `container info` shows, in Docker's words."""
        from toolkit.engine import inspect

        return inspect.info(self)
