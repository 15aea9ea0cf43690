"""What a check looks through: it says what it expects, and what it found."""

import functools
import os

from toolkit.core.errors import NotFoundError
from toolkit.lab.task import Claim

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.engine import Container, Engine

_MISSING = "none"


class UnmetError(Exception):
    """A claim does not hold, without which the rest of the check means nothing."""


class LackError(Exception):
    """This machine cannot do what the task is about.

    Args:
        reason: what is missing.
        cure: what would bring it.
    """

    def __init__(self, reason: str, cure: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.cure = cure


class Look:
    """A student's directory and the machine it is on, for one check."""

    def __init__(self, directory: str, kernel_pid: int = 0) -> None:
        """Look at the work in `directory`.

        Args:
            directory: the student's, absolute.
            kernel_pid: of the notebook's process that asked for the check; 0: nobody's notebook.
        """
        self.directory = directory
        self.kernel_pid = kernel_pid
        self.claims: list[Claim] = []

    def path(self, name: str) -> str:
        """Return where a file of the student's lies."""
        return os.path.join(self.directory, name)

    def expect(
        self, what: str, expected: object, observed: object, *, holds: bool | None = None, points: float = 0.0
    ) -> bool:
        """Claim that `what` is as expected; go on in any case, and tell whether it is.

        Args:
            what: what was looked at, in a learner's words.
            expected: what it should be; text, or anything that `observed` can be equal to.
            observed: what it is.
            holds: whether that is good; None: whether the two are equal.
            points: what the claim is worth by itself, where others fail.
        """
        is_met = expected == observed if holds is None else holds
        self.claims.append(Claim(what, str(expected), str(observed), is_met, points))
        return is_met

    def must(
        self, what: str, expected: object, observed: object, *, holds: bool | None = None, points: float = 0.0
    ) -> None:
        """Claim as `expect` does, and end the check where it does not hold: the rest would mean nothing."""
        if not self.expect(what, expected, observed, holds=holds, points=points):
            raise UnmetError

    @functools.cached_property
    def engine(self) -> "Engine":
        """The engine in which the student's containers are."""
        from toolkit.engine import Engine

        return Engine.open()

    def find_container(self, name: str) -> "Container | None":
        """Return the container of this name, or None."""
        return self.engine.containers.find_name(name)

    def running(self, name: str) -> "Container":
        """Return the running container of this name; claim that there is one."""
        container = self.find_container(name)
        self.must(f"the container {name}", "running", container.status if container else _MISSING)
        assert container is not None
        return container

    def remove_containers(self, *names: str) -> None:
        """Remove the containers of these names, whatever they are doing."""
        for name in names:
            container = self.find_container(name)
            if container is not None:
                try:
                    container.remove(force=True)
                except NotFoundError:  # one of --rm has just removed itself
                    continue

    def close(self) -> None:
        """Close the engine, if the check has opened it."""
        if "engine" in self.__dict__:
            self.engine.close()
