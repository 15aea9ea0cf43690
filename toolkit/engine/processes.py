"""A container's processes as the host's ps shows them.

See Also:
    moby, daemon/top_unix.go
"""

from typing import NamedTuple

from toolkit.core.errors import ConflictError, InvalidError, UnsupportedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from toolkit.engine.container import Container

_DEFAULT = ("-ef",)


class Processes(NamedTuple):
    """What ps printed, without the processes of others."""

    titles: "Sequence[str]"
    rows: "Sequence[Sequence[str]]"


def top(container: "Container", options: "Sequence[str]" = ()) -> Processes:
    """Return the container's processes.

    Args:
        container: one that runs.
        options: ps's own; its output must have a column PID.

    Raises:
        ConflictError: it does not run.
        InvalidError: ps does not take the options, or prints no PID.
        UnsupportedError: there is no ps here.
    """
    pids = container.pids()
    if not pids:
        raise ConflictError(
            f"Container {container.id} is not running", hint=f"start it: container start {container.name}"
        )
    container.note("top")
    words = [word for option in options or _DEFAULT for word in option.split()]
    return parse(_ps(words, pids), frozenset(pids))


def _ps(words: "Sequence[str]", pids: "Sequence[int]") -> str:
    """Run ps for these processes alone; some options do not go together with that, so then for all."""
    try:
        return _run(["ps", *words, f"-q{','.join(map(str, pids))}"])
    except InvalidError:
        return _run(["ps", *words])


def _run(argv: "Sequence[str]") -> str:
    import subprocess

    try:
        done = subprocess.run(argv, capture_output=True, check=False)
    except FileNotFoundError as exc:
        message = 'exec: "ps": executable file not found in $PATH'
        raise UnsupportedError(message, hint="install procps on this machine") from exc
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        raise InvalidError(f"ps: {lines[0] if lines else f'exit status {done.returncode}'}", hint="see ps(1)")
    return done.stdout.decode(errors="replace")


def parse(text: str, pids: "Collection[int]") -> Processes:
    """Choose from ps's output the lines of these processes; pure.

    The last column has all that is left of a line.  A line whose PID is "-" is
    a thread of the process above it.

    Raises:
        InvalidError: there is no column PID, or something else in it.
    """
    heading, *lines = text.splitlines() or [""]
    titles = heading.split()
    if "PID" not in titles:
        raise InvalidError("Couldn't find PID field in ps output", hint="have ps print it: -o pid,...")
    column = titles.index("PID")
    rows: list[list[str]] = []
    is_ours = False
    for line in filter(str.strip, lines):
        fields = line.split()
        pid = fields[column] if len(fields) > column else ""
        if pid != "-":
            if not pid.isdecimal():
                raise InvalidError(f"Unexpected pid '{pid}' in ps output", hint="put a column with spaces last")
            is_ours = int(pid) in pids
        if is_ours:
            last = len(titles) - 1
            rows.append([*fields[:last], " ".join(fields[last:])])
    return Processes(titles, rows)
