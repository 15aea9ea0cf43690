"""The stepper: the steps of a plan, buttons to do them, and beside them what the half-made container is now."""

import weakref
from typing import Any, ClassVar

import traitlets

from toolkit.core.errors import ConflictError
from toolkit.notebook.figures import Figure
from toolkit.notebook.figures.stepper import draw, now, plan_facts
from toolkit.notebook.widgets.base import LiveWidget, style
from toolkit.notebook.widgets.live import live_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.notebook.stepping import Stepper

_AFTER_THE_LAST_S = 0.2
"""How long the picture waits for a program that may end at once."""


class StepperWidget(LiveWidget):
    """Shows a stepper and passes on what is pressed; it does not keep a stepper that nobody has any more."""

    _esm: ClassVar[str] = live_module("stepper")
    _css: ClassVar[str] = style("live", "stepper")
    steps: Any = traitlets.List().tag(sync=True)
    shown = traitlets.Dict().tag(sync=True)
    """What is so at this moment; the same in all views."""
    command = traitlets.Unicode().tag(sync=True)
    label = traitlets.Unicode().tag(sync=True)
    """Empty where it is live; of a recording, of when and where it is."""

    def __init__(self, stepper: "Stepper") -> None:
        self._stepper = weakref.ref(stepper, self._lost)
        self._answers = 0
        stepper.on_change.append(self.refresh)
        super().__init__(
            steps=plan_facts(stepper.steps),
            shown=now(stepper),
            command=stepper.command,
            label="" if stepper.is_live else stepper.recording.header.label(),
        )

    @property
    def stepper(self) -> "Stepper":
        """What is shown.

        Raises:
            ConflictError: the notebook has given it up by forgetting it.
        """
        found = self._stepper()
        if found is None:
            raise ConflictError("the notebook does not have this container any more", hint="run the cell again")
        return found

    def _lost(self, _reference: object) -> None:
        self.shown = {**self.shown, "state": "gone", "says": "the notebook forgot it, so it was given up", "tables": {}}

    def refresh(self) -> None:
        """Draw what is so now; a page that asked is answered also where nothing has changed."""
        self._answers += 1
        self.shown = {**now(self.stepper), "answers": self._answers}

    def figure(self) -> Figure:
        """Return the same moment for where nothing is live."""
        found = self._stepper()
        return draw(found) if found is not None else Figure("<i>given up</i>", "given up")

    # What is pressed

    def do_next(self, index: int) -> None:
        """Do the step that comes next; twice the same press (two views) is one step."""
        if index == self.stepper.index:
            self._do(self.stepper.next)

    def do_until(self, number: int) -> None:
        """Go on until a step comes next, or through it where it comes next already."""
        if not self.stepper.is_live and number <= self.stepper.index:
            self.stepper.back_to(number)
        else:
            self._do(lambda: self.stepper.run_until(number))

    def do_finish(self) -> None:
        """Do all that is left, and wait a moment for the program."""
        self._do(self.stepper.finish)

    def do_abort(self) -> None:
        """Give it up; kill a program that runs."""
        self._do(self.stepper.abort)

    def do_look(self) -> None:
        """Look again: a program that runs writes, and ends."""
        if self.stepper.state == "running":
            self.stepper.wait(0)
        self.refresh()

    def _do(self, deed: Any) -> None:
        try:
            deed()
        except KeyboardInterrupt:
            self.trouble = {
                "message": "interrupted in the middle of a step",
                "hint": "Next goes on with it." if self.stepper.is_half_made else "The container was given up.",
            }
        if self.stepper.state == "running" and self.stepper.is_live:
            self.stepper.wait(_AFTER_THE_LAST_S)
