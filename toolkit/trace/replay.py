"""A recording that is walked through as a live container is: the same questions, answered from what was kept."""

from toolkit.core.errors import ConflictError, UnsupportedError
from toolkit.trace.look import NOTHING
from toolkit.trace.walk import Walk

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.trace.look import Look
    from toolkit.trace.recorded import Recording


class Replay(Walk):
    """A walk through a recording."""

    def __init__(self, recording: "Recording") -> None:
        super().__init__(recording.steps)
        self.recording = recording
        self.exit_code = recording.exit_code
        self.looks = recording.looks

    @property
    def is_half_made(self) -> bool:
        """Tell whether there are steps left."""
        return self.index < len(self.steps)

    @property
    def state(self) -> str:
        """Where it stands: "half-made", or "exited" at the end."""
        return "half-made" if self.is_half_made else "exited"

    def back_to(self, index: int) -> None:
        """Go to the moment before a step, which only a recording can do once it has been done."""
        if not 0 <= index <= len(self.steps):
            raise ConflictError(f"there is no step {index + 1}", hint=f"there are {len(self.steps)}")
        self._stand_at(index)

    def _advance(self, end: int) -> None:
        if not self.is_half_made:
            raise ConflictError("the recording ends here", hint="replay it again")
        if end > self.index:
            self._stand_at(end)

    def _stand_at(self, index: int) -> None:
        self.index = index
        self.events = [event for event in self.recording.events if event.step < index]
        self._before = self._look_at(index - 1)

    def look(self) -> "Look":
        """Return what was seen before the step that comes next."""
        return self._look_at(self.index)

    def _look_at(self, index: int) -> "Look":
        """Return the last look at or before a step: nothing is seen while nothing has changed."""
        seen = [each for each in self.recording.looks if each <= index]
        return self.recording.looks[max(seen)] if seen else NOTHING

    def inside(self, *_command: str) -> object:
        """Refuse: nothing runs here.

        Raises:
            UnsupportedError: always.
        """
        raise UnsupportedError(
            "nothing can be run in a recording", hint="on a machine with root: container step run IMAGE COMMAND"
        )

    def abort(self) -> None:
        """Do nothing: there is nothing to give up."""

    def __repr__(self) -> str:
        where = f"step {self.index + 1} of {len(self.steps)} comes next" if self.is_half_made else "at its end"
        return f"<{self.recording.header.label()}: {where}>"
