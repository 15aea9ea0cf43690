"""Walking through a plan one step at a time: what a live stepper and a recording have in common.

    walk.run_until("pivot_root")     # stops before the step that does it
    done = walk.next()               # does it; says what was called and what has changed
    walk.mounts()                    # how it is now, with what the last step changed marked

Invariant: `index` is the step that comes next; everything that is shown is as
it is before that step.
"""

import re
from typing import NamedTuple

from toolkit.core.errors import InvalidError
from toolkit.trace.event import Event
from toolkit.trace.listing import CHANGED, NEW, Listing, Shape
from toolkit.trace.look import NOTHING, Changes, Group, Look, Mount, Namespace, Process, changes, told
from toolkit.trace.step import StepFacts, shortened

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

_UNBORN = "there is no process yet: the first steps make it"
_MOUNTS = Shape(("where", "type", "what", "options", "propagation"), _UNBORN)
_NAMESPACES = Shape(("namespace", "inode", "whose"), _UNBORN)
_POWERS = Shape(("set", "count", "capabilities"), _UNBORN)
_GROUPS = Shape(("controllers", "path", "whose"), _UNBORN)
_PROCESSES = Shape(("pid", "inside", "command"), _UNBORN)
_EVENTS = Shape(("step", "cost us", "process", "call"), "no calls yet")
_SETS = ("effective", "permitted", "inheritable", "bounding", "ambient")
_LISTED = 16
_WIDE = 44
_IDENT = re.compile(r"[0-9a-f]{64}")
"""The name of a container's own group."""


class Done(NamedTuple):
    """What came of one or several steps."""

    steps: tuple[StepFacts, ...]
    """Those that were done."""
    events: tuple[Event, ...]
    """The calls that they really made."""
    changes: tuple[str, ...]
    """What is different now, in plain lines."""
    following: StepFacts | None
    """The step that comes next; None at the end."""

    def __repr__(self) -> str:
        lines = [f"step {step.number:>2}  {step.name}: {step.why}" for step in self.steps[-1:]]
        if len(self.steps) > 1:
            lines.insert(0, f"steps {self.steps[0].number} to {self.steps[-1].number}, the last of them:")
        lines += [f"     {shortened(event.strace())}  ({event.cost_ns / 1e3:.0f} us)" for event in self._last_events()]
        lines += [f"  -> {line}" for line in self.changes]
        lines.append(f"next: {self.following.number}  {self.following.name}" if self.following else "that was the last")
        return "\n".join(lines)

    def _last_events(self) -> "list[Event]":
        last = self.steps[-1].number - 1 if self.steps else -1
        return [event for event in self.events if event.step == last]


class Walk:
    """A plan, a place in it, and what can be seen from there."""

    is_live = False

    def __init__(self, steps: "tuple[StepFacts, ...]") -> None:
        self.steps = steps
        """All of them, in words."""
        self.index = 0
        """Of the step that comes next; the number of steps at the end."""
        self.events: list[Event] = []
        """The calls that were made so far."""
        self._before = NOTHING
        """What was seen before the last step."""
        self._compared = (NOTHING, NOTHING, Changes())

    # Going on

    def next(self) -> Done:
        """Do the step that comes next.

        Raises:
            ConflictError: there is none any more.
        """
        return self._go(self.index + 1)

    def run_until(self, where: "str | int") -> Done:
        """Go on until a step comes next: it has not been done yet.

        Args:
            where: the name of a step ("PivotRoot") or of a call that it makes ("pivot_root"), in any case; or its
                number, as it is shown.

        Raises:
            InvalidError: no step is called so; the message lists those there are.
            ConflictError: it is done already.
        """
        return self._go(self.find(where))

    def finish(self) -> object:
        """Do all that is left."""
        return self._go(len(self.steps))

    def find(self, where: "str | int") -> int:
        """Return the index of the step that `run_until` would stop before."""
        if isinstance(where, int) or where.isdecimal():
            return self._numbered(int(where))
        wanted = where.replace("_", "").casefold()
        found = [step.number - 1 for step in self.steps if wanted in _names(step)]
        ahead = [index for index in found if index >= self.index]
        if ahead:
            return ahead[0]
        if found:
            raise InvalidError(f"step {found[-1] + 1}, {where}, is done already", hint=self._ahead())
        raise InvalidError(f"no step of this plan is or calls {where!r}", hint=self._ahead())

    def _numbered(self, number: int) -> int:
        if not 1 <= number <= len(self.steps):
            raise InvalidError(f"there is no step {number}", hint=f"they are numbered from 1 to {len(self.steps)}")
        if number - 1 < self.index:
            raise InvalidError(f"step {number} is done already", hint=f"step {self.index + 1} comes next")
        return number - 1

    def _ahead(self) -> str:
        names = dict.fromkeys(step.name for step in self.steps[self.index :])
        return f"still to come: {', '.join(names)}" if names else "all steps are done"

    def _go(self, end: int) -> Done:
        first, known = self.index, len(self.events)
        self._advance(end)
        done = self.steps[first : self.index]
        following = self.steps[self.index] if self.index < len(self.steps) else None
        made = sorted(self.events[known:], key=lambda event: event.start_ns)
        return Done(done, tuple(made), self._what_changed(), following)

    def _advance(self, end: int) -> None:
        """Do steps until `index` is `end`, and see to it that `_before` is what was seen before the last of them."""
        raise NotImplementedError

    # Looking

    def look(self) -> Look:
        """Return all that can be seen now."""
        raise NotImplementedError

    def changes(self) -> Changes:
        """Return what the last step has changed."""
        return self._seen()[1]

    @property
    def before(self) -> Look:
        """What was seen before the last step."""
        return self._before

    def _seen(self) -> tuple[Look, Changes]:
        look = self.look()
        if self._compared[0] is not self._before or self._compared[1] is not look:
            self._compared = (self._before, look, changes(self._before, look))
        return look, self._compared[2]

    def _what_changed(self) -> tuple[str, ...]:
        look, changed = self._seen()
        return told(changed, look)

    @property
    def pid(self) -> int:
        """The host's number for the container's first process; 0 while there is none."""
        return self.look().pid

    def events_of(self, index: int) -> list[Event]:
        """Return the calls that a step has made."""
        return [event for event in self.events if event.step == index]

    def calls(self) -> Listing[Event]:
        """Return the calls so far, with those of the last step marked."""
        cells = [
            (str(each.step + 1), f"{each.cost_ns / 1e3:.1f}", each.actor, shortened(each.strace()))
            for each in self.events
        ]
        marks = {place: NEW for place, each in enumerate(self.events) if each.step == self.index - 1}
        return Listing(_EVENTS, self.events, cells, marks)

    def mounts(self) -> Listing[Mount]:
        """Return the mounts that the half-made container sees."""
        look, changed = self._seen()
        marks = {
            place: NEW if each.id in changed.new_mounts else CHANGED
            for place, each in enumerate(look.mounts)
            if each.id in changed.new_mounts or each.id in changed.changed_mounts
        }
        cells = [
            (each.point, each.fstype, _cut(_what(each)), each.options, each.propagation or "private")
            for each in look.mounts
        ]
        return Listing(_MOUNTS, look.mounts, cells, marks)

    def namespaces(self) -> Listing[Namespace]:
        """Return the namespaces that it is in, its own or the host's."""
        look, difference = self._seen()
        spaces, changed = look.namespaces, difference.namespaces
        marks = {place: CHANGED for place, each in enumerate(spaces) if each.kind in changed}
        return Listing(_NAMESPACES, spaces, [(each.kind, str(each.inode), each.whose) for each in spaces], marks)

    def capabilities(self) -> "Listing[tuple[str, object]]":
        """Return what it may do: its sets of capabilities, its ids, and what else decides."""
        look, difference = self._seen()
        powers, changed = look.powers, difference.powers
        if powers is None:
            return Listing(_POWERS, (), ())
        sets = [(name, getattr(powers, name)) for name in _SETS]
        cells = [(name, str(len(held)), _listed(held)) for name, held in sets]
        cells.append(("user", str(powers.uid), "root" if powers.uid == 0 else ""))
        cells.append(("no_new_privs", "on" if powers.no_new_privs else "off", ""))
        cells.append(("seccomp", "on" if powers.seccomp else "off", "a filter decides on each call" * powers.seccomp))
        names = [*_SETS, "uid", "no_new_privs", "seccomp"]
        marks = {place: CHANGED for place, name in enumerate(names) if name in changed}
        return Listing(_POWERS, [(name, getattr(powers, name)) for name in names], cells, marks)

    def cgroups(self) -> Listing[Group]:
        """Return its place in each cgroup tree."""
        look, difference = self._seen()
        groups, changed = look.groups, difference.groups
        cells = [(each.controllers or "(version 2)", shortened(each.path), _whose(each)) for each in groups]
        marks = {place: CHANGED for place, each in enumerate(groups) if each.controllers in changed}
        return Listing(_GROUPS, groups, cells, marks)

    def processes(self) -> Listing[Process]:
        """Return its processes, by their numbers on the host and inside."""
        look, difference = self._seen()
        found, changed = look.processes, difference.processes
        cells = [(str(each.pid), str(each.inside), each.command) for each in found]
        marks = {place: CHANGED for place, each in enumerate(found) if each.pid in changed}
        return Listing(_PROCESSES, found, cells, marks)

    def inside(self, *command: str) -> object:
        """Run a command where the half-made container is."""
        raise NotImplementedError


def _names(step: StepFacts) -> "set[str]":
    return {name.replace("_", "").casefold() for name in (step.name, *step.syscalls)}


def _what(mount: Mount) -> str:
    part = "" if mount.root == "/" else mount.root
    return shortened(f"{mount.source}{part and ' ' + part}")


def _cut(text: str) -> str:
    return text if len(text) <= _WIDE else f"{text[: _WIDE - 1]}…"


def _listed(names: "Sequence[str]") -> str:
    short = [name.removeprefix("CAP_") for name in names]
    return ", ".join(short) if len(short) <= _LISTED else f"{short[0]}, {short[1]}, ... {short[-1]}"


def _whose(group: Group) -> str:
    return "its own" if _IDENT.search(group.path) else "not its own"
