"""The capability and seccomp playground: one command, run with the powers that a learner has chosen."""

import json
import os
import shlex
import shutil
import time
from html import escape
from typing import Any, ClassVar, NamedTuple

import traitlets

from toolkit.core.errors import InvalidError
from toolkit.image.embedded.recipe import PATH
from toolkit.linux import capability
from toolkit.linux.libc import MACHINE
from toolkit.linux.seccomp.table import numbers
from toolkit.notebook import listening, trial
from toolkit.notebook.containers import the_engine
from toolkit.notebook.figures.powers import MEANINGS, draw
from toolkit.notebook.html import AMBER, FAINT, GREEN, INK, MONO, chip
from toolkit.notebook.widgets.base import LiveWidget, style
from toolkit.notebook.widgets.live import live_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from toolkit.notebook.figures import Figure
    from toolkit.notebook.trial import Ran

_COMMANDS = (
    ("chown student /tmp", "CAP_CHOWN"),
    ("su student -c id", "CAP_SETUID, CAP_SETGID"),
    ("mknod /tmp/null c 1 3", "CAP_MKNOD"),
    ("chroot / echo inside", "CAP_SYS_CHROOT"),
    ("ping -c 1 127.0.0.1", "none: a setting of the network namespace allows it"),
    ("python3 -c 'import socket; print(socket.socket(socket.AF_INET, socket.SOCK_RAW, 1))'", "CAP_NET_RAW"),
    ("ip link set lo down", "CAP_NET_ADMIN"),
    ("hostname other", "CAP_SYS_ADMIN"),
    ("mount -t tmpfs none /mnt", "CAP_SYS_ADMIN"),
    ("nice -n -5 echo first", "CAP_SYS_NICE"),
    ("date -s now", "CAP_SYS_TIME"),
    ("unshare --user --map-root-user id", "none, but the seccomp filter"),
    ("mkdir /tmp/new", "none"),
)
"""What is offered, and what each needs."""
DEFAULT, UNCONFINED = "default", "unconfined"
_JUMP_S = 0.5


class Tried(NamedTuple):
    """What a command came to with these powers."""

    command: str
    exit_code: int
    output: str
    effective: tuple[str, ...]
    """CapEff of the process, decoded: full names."""
    seccomp: str
    """"no filter" or "a filter", as /proc/PID/status says."""
    has_no_new_privileges: bool
    """NoNewPrivs, likewise."""
    refused: tuple[str, ...]
    """The calls that the kernel did not permit; empty where there is no strace to listen."""
    note: str
    """What had to be put right on the host; empty: nothing."""

    def __repr__(self) -> str:
        lines = [f"$ {self.command}", self.output.rstrip(), f"exit code {self.exit_code}, {self.seccomp}"]
        lines += [f"not permitted: {call}" for call in self.refused]
        lines.append(f"CapEff: {' '.join(name.removeprefix('CAP_') for name in self.effective) or 'none'}")
        return "\n".join(line for line in [*lines, self.note] if line)

    def _repr_html_(self) -> str:
        names = " ".join(name.removeprefix("CAP_").lower() for name in self.effective) or "none"
        eff = f'<div style="color:{FAINT}">CapEff: <span style="font-family:{MONO}">{names}</span></div>'
        return f'<div style="color:{INK};font-size:.92em;max-width:760px">{self.caption()}{eff}</div>'

    def caption(self) -> str:
        """Return all but the capabilities, as HTML."""
        calls = "".join(
            f'<div style="font-family:{MONO};font-size:.95em">{escape(call)}</div>' for call in self.refused
        )
        return (
            f'<div style="font-family:{MONO};white-space:pre-wrap"><span style="color:{FAINT}">$ {escape(self.command)}'
            f"</span>\n{escape(self.output.rstrip())}</div>"
            f"{chip(f'exit code {self.exit_code}', AMBER if self.exit_code else GREEN)} {escape(self.seccomp)}"
            f"{calls}{escape(self.note)}"
        )


class PlaygroundWidget(LiveWidget):
    """See `toolkit.notebook.pictures.playground`."""

    _esm: ClassVar[str] = live_module("playground")
    _css: ClassVar[str] = style("live", "playground")
    powers: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    """Each capability: name, meaning, whether docker gives it, whether this machine can."""
    kept: traitlets.List[str] = traitlets.List().tag(sync=True)
    """The capabilities that the next command is to have."""
    seccomp = traitlets.Unicode(DEFAULT).tag(sync=True)
    """"default", "unconfined", or the name of the one call that is denied."""
    no_new_privileges = traitlets.Bool().tag(sync=True)
    commands: traitlets.List[list[str]] = traitlets.List().tag(sync=True)
    result = traitlets.Dict().tag(sync=True)
    """What the last command came to."""
    running = traitlets.Bool().tag(sync=True)

    def __init__(self) -> None:
        self._last: Tried | None = None
        self._available = capability.bounding_set()
        usual = capability.names(capability.DEFAULT & self._available)
        super().__init__(
            powers=[_power(name, self._available) for name in MEANINGS],
            kept=usual,
            commands=[[command, needs] for command, needs in _COMMANDS if _is_in_lab(command)],
        )

    def run(
        self,
        command: "str | Sequence[str]",
        *,
        drop: "Iterable[str]" = (),
        add: "Iterable[str]" = (),
        seccomp: str = DEFAULT,
        no_new_privileges: bool = False,
    ) -> Tried:
        """Run a command in a new container with these powers, and tell what happened.

        Args:
            command: words, or one string of them.
            drop: capabilities that it is not to have, as `--cap-drop` takes them: "chown", "CAP_CHOWN", "ALL".
            add: those that it is to have besides docker's fourteen.
            seccomp: "default", "unconfined", or the name of a system call: the only one that is then denied.
            no_new_privileges: as `--security-opt no-new-privileges`.

        Raises:
            InvalidError: no such capability or call, or no command.
            UnsupportedError: a capability that this machine does not give.
        """
        words = _words(command)
        options = _options(tuple(drop), tuple(add), seccomp, no_new_privileges=no_new_privileges)
        # What a container would get of these, by the engine's own rule: the page shows the same.
        mask = capability.tweak(add, drop, available=self._available)
        self.kept, self.seccomp = capability.names(mask), seccomp
        self.no_new_privileges, self.running = no_new_privileges, True
        try:
            with _guarded_clock() as moved:
                ran = trial.run(the_engine(), words, listens=True, **options)
        finally:
            self.running = False
        self._last = _tried(shlex.join(words), ran, moved)
        self.result = {**self._last._asdict(), "listens": listening.can()}
        return self._last

    def figure(self) -> "Figure":
        """Return the capabilities that are chosen, or those that the last command had, with what it came to."""
        if self._last is None:
            return draw(capability.parse(self.kept), self._available)
        held = capability.parse(self._last.effective)
        return draw(held, self._available, self._last.caption(), repr(self._last))

    def do_run(self, command: str, kept: list[str], seccomp: str, no_new_privileges: bool) -> None:  # noqa: FBT001 - by its name in a message
        """Run a command with the powers that are chosen."""
        chosen = capability.parse(kept)
        drop = capability.names(capability.DEFAULT & self._available & ~chosen)
        add = capability.names(chosen & ~capability.DEFAULT)
        self.run(command, drop=drop, add=add, seccomp=seccomp or DEFAULT, no_new_privileges=no_new_privileges)


def _is_in_lab(command: str) -> bool:
    """Tell whether the image `lab` has the program: it is made of the host's."""
    return shutil.which(command.split(maxsplit=1)[0], path=os.pathsep.join(PATH)) is not None


def _words(command: "str | Sequence[str]") -> list[str]:
    try:
        words = shlex.split(command) if isinstance(command, str) else list(command)
    except ValueError as exc:
        raise InvalidError(f"{exc} in: {command}", hint="close the quote") from exc
    if not words:
        raise InvalidError("no command to run", hint="such as: chown student /tmp")
    return words


def _options(drop: tuple[str, ...], add: tuple[str, ...], seccomp: str, *, no_new_privileges: bool) -> dict[str, Any]:
    security = () if seccomp == DEFAULT else (f"seccomp={_profile(seccomp)}",)
    return {
        "cap_drop": drop,
        "cap_add": add,
        "security_opt": (*security, *(("no-new-privileges",) if no_new_privileges else ())),
    }


def _profile(seccomp: str) -> str:
    """Return what --security-opt seccomp= is to be: the word, or a filter that denies one call and no other."""
    if seccomp == UNCONFINED:
        return UNCONFINED
    if seccomp not in numbers(MACHINE):
        raise InvalidError(f"there is no system call {seccomp!r}", hint="such as mkdir; syscalls(2) lists them")
    denied = {"names": [seccomp], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}
    return json.dumps({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [denied]})


class _guarded_clock:  # noqa: N801 - reads as a verb
    """Put the machine's clock back where a command has set it: no namespace divides it from the host's."""

    def __enter__(self) -> list[str]:
        self._before_s = _ahead_s()
        self._told: list[str] = []
        return self._told

    def __exit__(self, *_exc: object) -> None:
        jump_s = _ahead_s() - self._before_s
        if abs(jump_s) > _JUMP_S:
            time.clock_settime(time.CLOCK_REALTIME, time.time() - jump_s)
            self._told.append(
                f"The machine's clock was set, by {jump_s:+.0f} s: no namespace divides it. It was put back."
            )


def _ahead_s() -> float:
    """Return how far the clock is ahead of the one that nobody can set, and that goes on while a laptop sleeps."""
    return time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)


def _tried(command: str, ran: "Ran", moved: list[str]) -> Tried:
    facts = dict(line.split(":\t", 1) for line in ran.status.splitlines() if ":\t" in line)
    effective = capability.names(capability.decode_status(ran.status).effective) if "CapEff" in facts else []
    return Tried(
        command,
        ran.exit_code,
        ran.output,
        tuple(effective),
        "no filter" if facts.get("Seccomp", "").strip() == "0" else "a seccomp filter",
        facts.get("NoNewPrivs", "").strip() == "1",
        ran.refused,
        " ".join(moved),
    )


def _power(name: str, available: int) -> dict[str, Any]:
    mask = capability.parse([name])
    return {
        "name": name,
        "meaning": MEANINGS[name],
        "usual": bool(mask & capability.DEFAULT),
        "available": bool(mask & available),
    }
