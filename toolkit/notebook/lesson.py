"""What a lesson needs from its machine, and how it goes on where that is missing.

    from toolkit.notebook import lesson
    lesson.needs_containers("sleeper", recording="01_just_a_process")   # at the beginning
    lesson.needs("limits on memory")                                    # before a part that needs more

Where it is missing, the cells after it are not run.  Each shows what it has
shown on another machine, and is marked as a recording (`recorded_cells.py`), or says
in one line that it was skipped: Run All reaches the end, and the text can be
read with what it speaks of.  The next `needs` decides anew.
"""

import functools
import os
import re
import shlex
import time
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from IPython.core.getipython import get_ipython

from toolkit.core.errors import EngineError, NotFoundError
from toolkit.notebook import recorded_cells, trial
from toolkit.notebook.display import publish
from toolkit.notebook.errors import CommandError
from toolkit.notebook.html import AMBER, FAINT, GREEN, INK, chip
from toolkit.notebook.magics import run_command
from toolkit.notebook.session import CellSession
from toolkit.notebook.stepping import Stepper, give_up_containers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from IPython.core.interactiveshell import InteractiveShell

    from toolkit.engine import Engine
    from toolkit.linux.probe import Feature

VIRTUAL_MACHINE = "a virtual machine"
_HALF = 130
_NOT_ROOT = "to make containers takes root, and here you are the user with the number {}"
_THIS = "toolkit.notebook.lesson"
_ASKS = re.compile(r"\b(needs(_containers)?|lesson\.walk)\(")


class Ready(NamedTuple):
    """Whether this machine has what the lesson, or a part of it, needs."""

    reason: str
    """Why not; empty where it has."""
    took_ms: float = 0.0
    what: str = "containers"
    recording: "recorded_cells.Recording | None" = None

    def __bool__(self) -> bool:
        return not self.reason

    @property
    def _told(self) -> str:
        """What is the case, in one line."""
        if self.reason:
            return f"no {self.what} here: {_shortened(self.reason)}"
        if self.took_ms:
            return f"ready: a first container started, ran and was removed in {self.took_ms:.0f} ms"
        return f"ready: {self.what}"

    @property
    def _outlook(self) -> str:
        """What becomes of the cells below."""
        if not self.reason:
            return ""
        if self.recording is None:
            return "The cells below are skipped; the text is still worth reading."
        return f"The cells below show a recording instead, {self.recording.origin}."

    def __repr__(self) -> str:
        return "\n".join(filter(None, (self._told, self._outlook)))

    def _repr_html_(self) -> str:
        mark = chip("not here", AMBER) if self.reason else chip("ready", GREEN)
        text = self._told.removeprefix("ready: ")
        below = f"<br>{escape(self._outlook)}" if self._outlook else ""
        return (
            f'<div style="color:{INK};margin:.3em 0">{mark} &ensp;'
            f'<span style="color:{FAINT}">{escape(text)}{below}</span></div>'
        )


def _shortened(reason: str) -> str:
    """Leave out the middle of a reason that is a long call: its beginning names it, its end says what came of it."""
    return reason if len(reason) <= 2 * _HALF + 3 else f"{reason[:_HALF]}...{reason[-_HALF:]}"


class Course:
    """How the lesson of this kernel goes on."""

    def __init__(self) -> None:
        self.recording: recorded_cells.Recording | None = None
        self.without_containers = ""
        """Why there are none; empty where there are."""


_course = Course()


def asks(source: str) -> bool:
    """Tell whether a cell of this text asks what the machine has: it is run in any case."""
    return _ASKS.search(source) is not None


def needs_containers(*names: str, recording: str = "") -> Ready:
    """Run a first container; where that fails, say why, and show recordings from here on, or skip.

    Args:
        names: of containers that an earlier run of this lesson may have left; they are removed.
        recording: the name of what this lesson has shown elsewhere.
    """
    _ask_for_english()
    ready = _try_container(names)
    if not ready and os.geteuid() != 0:  # whatever stood in the way, this is why
        ready = Ready(_NOT_ROOT.format(os.geteuid()))
    _course.recording, complaint = _find_recording(recording)
    if complaint and not ready:
        ready = ready._replace(reason=f"{ready.reason} ({complaint})")
    _course.without_containers = ready.reason
    ready = ready._replace(recording=_course.recording)
    _go_on(ready)
    return ready


def needs(*features: str) -> Ready:
    """See whether this machine has what the cells after this one need; where it lacks some, they are not run.

    Args:
        features: as the doctor calls them, group and name: "limits on memory"; or VIRTUAL_MACHINE.  None: nothing
            but containers.

    Raises:
        ValueError: the doctor knows no such feature.
    """
    what = " and ".join(features) or "containers"
    if _course.without_containers:
        ready = Ready(_course.without_containers, recording=_course.recording)
    else:
        reason = _first_lack(features)
        ready = Ready(reason, what=what, recording=_course.recording)
    _go_on(ready)
    return ready


def walk(command: str, *, recording: str) -> Stepper:
    """Return a container to make step by step; where there are none, the recording of one, in the same picture.

    Args:
        command: what follows `container step run`.
        recording: the name of a walk that was done elsewhere.

    Raises:
        CommandError: the container cannot be made.
        InvalidError: there are no containers, and the recording cannot be read.
    """
    if not _course.without_containers:
        made: Stepper = run_command(["step", "run", *shlex.split(command)])
        return made
    return Stepper.replayed(recorded_cells.find(recording))


def _ask_for_english() -> None:
    """Have the programs that cells start complain in English, which is what assertions read; encodings stay."""
    everything = os.environ.pop("LC_ALL", "")  # it would win
    if everything:
        os.environ["LC_CTYPE"] = everything
    os.environ["LC_MESSAGES"] = "C"


def _find_recording(name: str) -> "tuple[recorded_cells.Recording | None, str]":
    """Return a lesson's recording, or what is wrong with it; neither where it has none."""
    if not name:
        return None, ""
    try:
        return recorded_cells.load(name), ""
    except EngineError as exc:
        return None, str(exc)


def _first_lack(features: Sequence[str]) -> str:
    try:
        return next(filter(None, map(_lack, features)), "")
    except EngineError as exc:
        return str(exc)


def _lack(feature: str) -> str:
    """Say what this machine lacks for a feature, and the cure; empty: nothing."""
    if feature == VIRTUAL_MACHINE:
        return _lack_of_machine()
    found = {f"{each.group} {each.name}": each for each in _features()}
    if feature not in found:
        raise ValueError(f"the doctor knows no '{feature}'; it knows: {', '.join(found)}")
    lack, cure = found[feature].lack, found[feature].cure
    return f"{lack}; {cure}" if lack and cure else lack


@functools.cache
def _features() -> "tuple[Feature, ...]":
    from toolkit.linux.probe import find_features

    return find_features(everything=True)


def _lack_of_machine() -> str:
    """Find the parts of a virtual machine, and fetch the kernel for it if that is not here yet."""
    from toolkit.vm import kernel, parts

    try:
        kernel.get(kernel.cache_directory(), parts.require()[parts.DEPMOD], print)
    except (EngineError, OSError) as exc:
        hint = getattr(exc, "hint", "")
        return f"{exc}" if hint in str(exc) else f"{exc}; {hint}"
    return ""


def _try_container(names: Sequence[str]) -> Ready:
    session = CellSession(None)
    try:
        _have_lab(session.engine)
        give_up_containers(names)
        trial.sweep(session.engine)
        for container in session.engine.containers.list(all=True):
            if container.name in names:
                container.remove(force=True)
        start_s = time.perf_counter()
        run_command(["run", "--rm", "lab", "true"])
    except CommandError as exc:
        return Ready(exc.message)
    except (EngineError, OSError) as exc:
        return Ready(str(exc))
    return Ready("", (time.perf_counter() - start_s) * 1000)


def _have_lab(engine: "Engine") -> None:
    """Make the image with a word to the learner where it is not here yet: it takes a few seconds."""
    try:
        engine.images.store.resolve("lab")
    except NotFoundError:
        engine.images.make_lab(print)


def _go_on(ready: Ready) -> None:
    """Have the cells after this one run, replayed or skipped."""
    shell = get_ipython()
    if shell is None:
        return
    _stop_skipping(shell)
    if not ready:
        shell.input_transformers_cleanup.append(_stand_in(ready))


def _stop_skipping(shell: "InteractiveShell") -> None:
    kept = [each for each in shell.input_transformers_cleanup if getattr(each, "__module__", "") != _THIS]
    shell.input_transformers_cleanup[:] = kept


def _stand_in(ready: Ready) -> "Callable[[list[str]], list[str]]":
    """Return what puts something else in the place of a cell's text before it is run."""
    recording = ready.recording

    def replace(lines: list[str]) -> list[str]:
        source = "".join(lines)
        if asks(source):
            return lines
        if recording is None:
            return [_call(f"say_skipped({_shortened(ready.reason)!r})")]
        if recording.find(source) is not None:
            return [_call(f"show_recorded({recorded_cells.key(source)!r})")]
        # A cell of the learner's own is worth running wherever it can.
        return lines if source.lstrip().startswith("%%") else [_call("say_live()"), *lines]

    return replace


def _call(deed: str) -> str:
    return f"__import__({_THIS!r}, fromlist=['_']).{deed}\n"


def say_skipped(reason: str) -> None:
    """Say in a cell's place that it was not run."""
    _say(f"skipped: {reason}")


def say_live() -> None:
    """Say before a cell that is in no recording that it is run for real."""
    _say("not part of the recording, so this is run for real; names that recorded cells have made are not there")


def show_recorded(ident: str) -> None:
    """Show in a cell's place what it has shown elsewhere."""
    if _course.recording is not None:
        _course.recording.show(ident)


def _say(text: str) -> None:
    publish({"text/plain": text, "text/html": f'<span style="color:{FAINT}">{escape(text)}</span>'})
