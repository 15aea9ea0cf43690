"""What `run --dry-run`, `run --explain`, `step run` and `replay` print: the plan, and what really happened.

Both go to stderr after the container's own output, so that a pipe still gets
only what the container wrote; the plan of a dry run is the output itself.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from toolkit.cli.flags import Parsed
    from toolkit.cli.session import Session
    from toolkit.trace import Event
    from toolkit.trace.recorded import Recording
    from toolkit.trace.step import StepFacts

_SECRET_FLAGS = frozenset(("env", "log-opt"))
"""Their values may be passwords, and a recording is made to be shown to others."""
_NOT_OF_THE_START = frozenset(("record", "explain", "dry-run"))


def show_plan(session: "Session", steps: "Sequence[StepFacts]") -> None:
    """Print every step of a plan."""
    for number in range(len(steps)):
        session.print(describe(steps, number))


def describe(steps: "Sequence[StepFacts]", index: int) -> str:
    """Return a step's lines: number, who takes it, its calls as strace prints them, and why it is there."""
    step = steps[index]
    width = len(str(len(steps)))
    indent = " " * (width + 2)
    return "\n".join(
        (
            f"{step.number:>{width}}  {step.name} ({step.actor}, {step.phase})",
            *(indent + _readable(call) for call in step.calls),
            f"{indent}# {step.why} [{step.see}]",
        )
    )


def events_text(events: "Sequence[Event]", steps: "Sequence[StepFacts]") -> str:
    """Return a line for each call with its cost, in the order of time, and a sum."""
    from toolkit.trace.timeline import begin_ns

    ordered = sorted(events, key=lambda event: event.start_ns)
    if not ordered:
        return "no calls were recorded"
    first_ns = begin_ns(ordered, steps)
    lines = [f"{'at ms':>8}  {'cost us':>8}  {'step':>4}  {'process':<8} call"]
    for event in ordered:
        step = "" if event.step < 0 else str(event.step + 1)
        lines.append(
            f"{_when(event.start_ns - first_ns):>8}  {event.cost_ns / 1e3:8.1f}  {step:>4}  {event.actor:<8} "
            f"{_readable(event.strace())}"
        )
    in_calls_ns = sum(event.cost_ns for event in ordered)
    lines.append(f"{len(ordered)} calls took {in_calls_ns / 1e6:.3f} ms")
    return "\n".join(lines)


def _when(after_ns: int) -> str:
    """Return milliseconds; what was done before anyone asked, in the process kept in reserve, has no such time."""
    return "before" if after_ns < 0 else f"{after_ns / 1e6:.3f}"


def _readable(call: str) -> str:
    """Escape what is not printable and shorten the container's id, which fills the lines otherwise."""
    from toolkit.cli.table import clean
    from toolkit.trace.step import shortened

    return shortened(clean(call))


def command_line(path: str, parsed: "Parsed") -> str:
    """Return a command as a recording keeps it: with its flags, and without what may be a secret."""
    import shlex

    words = ["container", path]
    for name in sorted(parsed.given - _NOT_OF_THE_START):
        words += _flag_words(name, parsed[name])
    return " ".join([*words, *map(shlex.quote, parsed.args)])


def _flag_words(name: str, value: object) -> list[str]:
    import shlex

    if value is True:
        return [f"--{name}"]
    if name in _SECRET_FLAGS:
        pairs = value.items() if isinstance(value, dict) else [(str(each).partition("=")[0], 0) for each in _all(value)]
        return [f"--{name} {shlex.quote(str(key))}=..." for key, _hidden in pairs]
    if isinstance(value, (str, int)):
        return [f"--{name}={shlex.quote(str(value))}"]
    return [f"--{name}=..."]  # of many shapes, and the calls show what came of it


def _all(value: object) -> "list[object]":
    return list(value) if isinstance(value, (list, tuple)) else [value]


def check_path(path: str) -> None:
    """Refuse a place where a recording cannot be written, before anything is done that it would be of.

    Raises:
        InvalidError: it is such a place.
    """
    import os

    from toolkit.core.errors import InvalidError

    if path and (os.path.isdir(path) or not os.access(os.path.dirname(path) or ".", os.W_OK)):
        raise InvalidError(f"{path}: a recording cannot be written there", hint="name another file with --record")


def save(session: "Session", recording: "Recording", path: str) -> None:
    """Write a recording where --record says, and tell so."""
    recording.save(path)
    session.complain(f"recorded in {path}: container replay {path}")
