"""What strace(1) sees of the engine's processes, parsed so that it can be held against our own record."""

import re
import signal
import subprocess
from collections.abc import Iterator
from typing import NamedTuple

_LINE = re.compile(r"(\d+) +(?:<\.\.\. (\w+) resumed>)?(.*)")
_CALL = re.compile(r"(\w+)\((.*)\) += (-?\w+|\?)(?: (E[A-Z0-9]+))?.*")


class Call(NamedTuple):
    """One system call."""

    pid: int
    name: str
    args: tuple[str, ...]
    result: int
    errno: str


class Strace:
    """strace attached to some processes, and to all that they fork."""

    def __init__(self, output: str, *pids: int) -> None:
        """Attach to `pids`; return when that is done."""
        self._output = output
        chosen = [word for pid in pids for word in ("-p", str(pid))]
        self._process = subprocess.Popen(
            ["strace", "-f", "-s", "65536", "-o", output, *chosen], stderr=subprocess.PIPE, text=True
        )
        assert self._process.stderr is not None
        for _pid in pids:
            line = self._process.stderr.readline()
            assert "attached" in line, line

    def stop(self) -> list[Call]:
        """Detach; return what was seen, in the order in which the calls ended."""
        self._process.send_signal(signal.SIGINT)
        self._process.communicate()
        with open(self._output) as file:
            return list(parse(file))


def parse(lines: Iterator[str]) -> Iterator[Call]:
    """Yield the calls in strace's output; one that was interrupted by another process's is put together again."""
    begun: dict[str, str] = {}
    for line in lines:
        found = _LINE.match(line.rstrip("\n"))
        if found is None:
            continue
        pid, resumed, text = found.groups()
        if text.endswith(" <unfinished ...>"):
            begun[pid] = text.removesuffix(" <unfinished ...>")
            continue
        if resumed:
            text = begun.pop(pid, "") + text
        call = parse_call(int(pid), text)
        if call is not None:
            yield call


def parse_call(pid: int, text: str) -> Call | None:
    """Return the call in one line of strace's, or of ours; None if it is something else (a signal, an exit)."""
    found = _CALL.fullmatch(text)
    if found is None or found[3] == "?":
        return None
    number = found[3]
    is_octal = number.startswith("0") and number != "0" and not number.startswith("0x")
    return Call(pid, found[1], split(found[2]), int(number, 8 if is_octal else 0), found[4] or "")


def split(text: str) -> tuple[str, ...]:
    """Return the arguments of a call: commas within quotes, braces and brackets do not separate."""
    parts: list[str] = [""]
    depth, is_quoted, is_escaped = 0, False, False
    for letter in text:
        if is_quoted:
            is_quoted = letter != '"' or is_escaped
            is_escaped = letter == "\\" and not is_escaped
        elif letter == '"':
            is_quoted = True
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        elif letter == "," and not depth:
            parts.append("")
            continue
        parts[-1] += letter
    return tuple(part.strip() for part in parts if part.strip())


def sorted_flags(text: str) -> str:
    """Write every A|B|C in one order."""
    return re.sub(r"\w+(?:\|\w+)+", lambda found: "|".join(sorted(found[0].split("|"))), text)


_COMMENT = re.compile(r" /\* .*? \*/")
"""As in 0 /* MS_??? */."""
_PATH_OF_FD = re.compile(r"^(\d+)<.*>$")
"""As in 3</etc/hosts>, which strace -y prints."""

# How many arguments are compared where the last ones are addresses, or written out by one side only.
_COMPARED = {"execve": 2, "seccomp": 2, "ioctl": 2, "clone": 1}


def essence(call: Call) -> tuple[str, tuple[str, ...], int, str]:
    """Return of a call what both sides must agree on."""
    args = [_COMMENT.sub("", arg) for arg in call.args if not arg.startswith("child_stack=")]
    args = [sorted_flags(_PATH_OF_FD.sub(r"\1", arg)) for arg in args]
    if call.name == "ioctl":
        args[1] = args[1].rpartition(" or ")[2]  # a number that sound cards have given another meaning
    if call.name == "clone3":
        args = re.findall(r"flags=[\w|]+|exit_signal=\w+", args[0])  # the rest is addresses
    if call.name == "bpf":  # the rest is addresses, and what is 0
        args[1:] = re.findall(r"\b((?:prog_type|insn_cnt|license|target_fd|attach_\w+)=[^,}<]+)", args[1])
    if call.name == "prctl":
        while len(args) > 2 and args[-1] == "0":
            args.pop()  # strace knows which options take how many
    return call.name, tuple(args[: _COMPARED.get(call.name)]), call.result, call.errno
