"""A container that is made step by step, in a notebook: `s = %container step run lab sh -c "echo hello"`.

    s                           # the picture: the steps, and what the half-made container is now
    s.next()                    # does the step that comes next
    s.run_until("pivot_root")
    s.inside("ls /")
    s.mounts()                  # the kernel's own list, with what the last step changed marked

A recording, `%container replay FILE`, has the same methods as far as what was
kept can answer.
"""

import weakref
from typing import Any

from toolkit.notebook.html import FAINT, table
from toolkit.trace.listing import CHANGED, Listing, Shape
from toolkit.trace.recorded import STEP, Recording
from toolkit.trace.step import shortened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from typing import Self

    from toolkit.engine.stepping import Ran
    from toolkit.engine.stepping import Stepper as EngineStepper
    from toolkit.notebook.figures import Figure
    from toolkit.notebook.widgets.stepper import StepperWidget
    from toolkit.notebook.widgets.timeline import TimelineWidget
    from toolkit.trace import Event
    from toolkit.trace.look import Look
    from toolkit.trace.replay import Replay
    from toolkit.trace.step import StepFacts
    from toolkit.trace.walk import Done


class Rows(Listing[Any]):
    """A listing that a notebook shows as a table."""

    @classmethod
    def of(cls, listing: "Listing[Any]") -> "Rows":
        """Return the same rows."""
        return cls(listing.shape, tuple(listing), listing.cells, listing.marks)

    def _repr_html_(self) -> str:
        if not len(self):
            return f'<span style="color:{FAINT}">{self.shape.empty}</span>'
        columns = ("", *self.shape.columns)
        rows = [
            {"": {CHANGED: "changed"}.get(self.marks.get(place, ""), self.marks.get(place, "")), **row}
            for place, row in enumerate(self.rows)
        ]
        return table(columns, rows, frozenset(self.shape.columns))


class Stepper:
    """A half-made container, or a recording of one; `.raw` is the engine's own object."""

    def __init__(self, raw: "EngineStepper | Replay", command: str) -> None:
        """Show `raw`, which was asked for with `command`."""
        self.raw = raw
        self.command = command
        self.record_path = ""
        """Where what was done is written when it ends; empty: nowhere."""
        self._widget: StepperWidget | None = None
        self.on_change: list[Callable[[], None]] = []
        """Called after each deed: pictures of it are drawn anew."""

    @classmethod
    def replayed(cls, path: str) -> "Self":
        """Return the walk that a file holds.

        Raises:
            InvalidError: it is no recording of a walk.
        """
        from toolkit.trace.reading import load
        from toolkit.trace.replay import Replay

        recording = load(path)
        return cls(Replay(recording), recording.header.command)

    # Going on

    def next(self) -> "Done":
        """Do the step that comes next; say what it called and what it changed."""
        done: Done = self._deed(self.raw.next)
        return done

    def run_until(self, where: "str | int") -> "Done":
        """Go on until a step comes next: its name, a call that it makes ("pivot_root"), or its number."""
        done: Done = self._deed(lambda: self.raw.run_until(where))
        return done

    def finish(self) -> "Self":
        """Do all that is left, so that the program runs; `wait` waits for its end, `output` is what it wrote."""
        self._deed(self.raw.finish)
        return self

    def back_to(self, number: int) -> None:
        """Of a recording: go back to the moment before a step."""
        if not self.raw.is_live:
            self._deed(lambda: self.raw.back_to(number - 1))  # type: ignore[union-attr]  # a recording's

    def abort(self) -> None:
        """Give it up: what was made goes."""
        self._deed(self.raw.abort)

    def _deed(self, do: "Callable[[], Any]") -> Any:
        try:
            return do()
        finally:
            if self.record_path and not self.is_half_made:
                self.save(self.record_path)
            for draw in tuple(self.on_change):
                draw()

    def __enter__(self) -> "Self":
        return self

    def __exit__(self, *_exc: object) -> None:
        if self.is_half_made:
            self.abort()

    # Where it stands

    @property
    def steps(self) -> "tuple[StepFacts, ...]":
        """All steps of the plan, in words."""
        return self.raw.steps

    @property
    def plan(self) -> Any:
        """The steps themselves, as the engine carries them out; of a recording in words."""
        return getattr(self.raw, "plan", self.raw.steps)

    @property
    def index(self) -> int:
        """Of the step that comes next: `s.steps[s.index]`."""
        return self.raw.index

    @property
    def state(self) -> str:
        """What has become of it: "half-made", "running", "exited", "gone"."""
        return self.raw.state

    @property
    def is_half_made(self) -> bool:
        """Tell whether there are steps left."""
        return self.raw.is_half_made

    @property
    def is_live(self) -> bool:
        """Tell whether it is a container, and not a recording."""
        return self.raw.is_live

    @property
    def name(self) -> str:
        """Of the container; of a recording empty."""
        container = getattr(self.raw, "container", None)
        return "" if container is None else str(container.name)

    @property
    def pid(self) -> int:
        """The host's number for the container's first process; 0 while there is none."""
        return self.raw.pid

    @property
    def events(self) -> "list[Event]":
        """Every call to the kernel so far, with its cost."""
        return self.raw.events

    def events_of(self, number: int) -> "list[Event]":
        """Return the calls of one step, by its number as it is shown."""
        return self.raw.events_of(number - 1)

    # Looking

    def look(self) -> "Look":
        """Return all that can be seen now, as values."""
        return self.raw.look()

    def calls(self) -> Rows:
        """Return the calls so far; those of the last step are marked."""
        return Rows.of(self.raw.calls())

    def mounts(self) -> Rows:
        """Return the mounts that the half-made container sees; what the last step changed is marked."""
        return Rows.of(self.raw.mounts())

    def namespaces(self) -> Rows:
        """Return the namespaces that it is in, its own or the host's."""
        return Rows.of(self.raw.namespaces())

    def capabilities(self) -> Rows:
        """Return what it may do."""
        return Rows.of(self.raw.capabilities())

    def cgroups(self) -> Rows:
        """Return its place in each cgroup tree."""
        return Rows.of(self.raw.cgroups())

    def processes(self) -> Rows:
        """Return its processes."""
        return Rows.of(self.raw.processes())

    @property
    def host_mounts(self) -> "frozenset[tuple[str, str, str]]":
        """The mounts of the host, as the first process saw them when it was born: device, root and place."""
        looks = self.raw.looks
        first = next((looks[index] for index in sorted(looks) if looks[index].pid), None)
        return frozenset((each.device, each.root, each.point) for each in first.mounts) if first else frozenset()

    # Acting

    def inside(self, *command: str, user: str = "") -> "Ran":
        """Run a command where the half-made container is now: `s.inside("ps")`, `s.inside("sh", "-c", "a; b")`."""
        words: dict[str, Any] = {"user": user} if user else {}
        ran: Ran = self.raw.inside(*command, **words)  # type: ignore[assignment]  # a recording raises
        return ran

    @property
    def output(self) -> str:
        """What the program has written so far; of a recording nothing: it keeps none."""
        return getattr(self.raw, "output", "")

    @property
    def exit_code(self) -> int | None:
        """How the program ended; None while that is not known."""
        return self.raw.exit_code

    def wait(self, timeout_s: float | None = None) -> int | None:
        """Wait until the program ends; return its exit code, None where the time was up before."""
        if not self.is_live:
            return self.raw.exit_code
        return self._deed(lambda: self.raw.wait(timeout_s))  # type: ignore[union-attr,no-any-return]

    # Keeping

    @property
    def recording(self) -> Recording:
        """What was done so far, as a recording."""
        if isinstance(found := getattr(self.raw, "recording", None), Recording):
            return found
        made: Recording = self.raw.recording(self.command)  # type: ignore[operator]  # a live one
        return made

    def save(self, path: str) -> None:
        """Write what was done so far to a file, for `%container replay`."""
        self.recording.save(path)

    def __repr__(self) -> str:
        return repr(self.raw)

    @property
    def widget(self) -> "StepperWidget":
        """Its live picture; all views of it are of one model."""
        if self._widget is None:
            from toolkit.notebook.widgets.stepper import StepperWidget

            self._widget = StepperWidget(self)
        return self._widget

    def figure(self) -> "Figure":
        """Return the picture of this moment, standing still."""
        from toolkit.notebook.figures.stepper import draw

        return draw(self)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.widget._repr_mimebundle_(**options)


class Trace:
    """The calls of a start: its value is what `%container explain run` and `replay` are worth."""

    def __init__(self, recording: Recording, *, is_replayed: bool) -> None:
        """Show `recording`; `is_replayed`: it was read from a file, and says so."""
        self.recording = recording
        self.is_replayed = is_replayed
        self._widget: TimelineWidget | None = None

    @property
    def events(self) -> "list[Event]":
        """Every call to the kernel, with its cost, in the order of time."""
        return sorted(self.recording.events, key=lambda event: event.start_ns)

    @property
    def steps(self) -> "tuple[StepFacts, ...]":
        """The steps of the plan, in words."""
        return self.recording.steps

    @property
    def exit_code(self) -> int | None:
        """How the program ended."""
        return self.recording.exit_code

    def events_of(self, number: int) -> "list[Event]":
        """Return the calls of one step, by its number as it is shown."""
        return [event for event in self.events if event.step == number - 1]

    def table(self, text: str = "") -> Rows:
        """Return the calls as a table, those that contain `text` or all."""
        found = [event for event in self.events if text in event.strace()]
        cells = [
            (
                str(each.step + 1) if each.step >= 0 else "",
                f"{each.cost_ns / 1e3:.1f}",
                each.actor,
                shortened(each.strace()),
            )
            for each in found
        ]
        return Rows(Shape(("step", "cost us", "process", "call"), "no such calls"), found, cells)

    def save(self, path: str) -> None:
        """Write it to a file, for `%container replay`."""
        self.recording.save(path)

    @property
    def widget(self) -> "TimelineWidget":
        """Its live picture; all views of it are of one model."""
        if self._widget is None:
            from toolkit.notebook.widgets.timeline import TimelineWidget

            self._widget = TimelineWidget(self.recording, is_replayed=self.is_replayed)
        return self._widget

    def figure(self) -> "Figure":
        """Return the picture, standing still."""
        from toolkit.notebook.figures.timeline import draw

        return draw(self.recording, is_replayed=self.is_replayed)

    def __repr__(self) -> str:
        return repr(self.recording)

    def _repr_mimebundle_(self, **options: Any) -> Any:
        return self.widget._repr_mimebundle_(**options)


def of_recording(recording: Recording, *, is_replayed: bool) -> "Stepper | Trace":
    """Return what a notebook shows of a recording."""
    if recording.header.kind != STEP or not recording.steps:  # one that was cut short before its first step
        return Trace(recording, is_replayed=is_replayed)
    from toolkit.trace.replay import Replay

    return Stepper(Replay(recording), recording.header.command)


_of_cells: "dict[str, weakref.ref[Stepper]]" = {}
_all: "weakref.WeakSet[Stepper]" = weakref.WeakSet()
"""Those of this kernel that were live when they were made."""


def give_up_of(cell: str) -> None:
    """Give up what a cell has left half-made: it is run again."""
    found = _of_cells.pop(cell, None)
    before = found() if found is not None else None
    if before is not None and before.is_half_made:
        before.abort()


def give_up_containers(names: "Collection[str]") -> None:
    """Give up the half-made containers of these names: a lesson begins anew, and nobody else may remove them."""
    for each in tuple(_all):
        if each.is_half_made and each.name in names:
            each.abort()


def note(cell: str, stepper: Stepper) -> None:
    """Remember a live stepper, and which cell it is of."""
    _all.add(stepper)
    if cell:
        _of_cells[cell] = weakref.ref(stepper)
