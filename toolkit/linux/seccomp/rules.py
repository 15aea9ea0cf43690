"""OCI's rules to what shall happen to each system call number.  No code yet, no I/O but the table.

See Also:
    runtime-spec, config-linux.md, "Seccomp"; runc, libcontainer/seccomp
"""

import errno
from typing import NamedTuple, TypedDict

from toolkit.core.errors import InvalidError
from toolkit.linux.seccomp.apply import FLAGS
from toolkit.linux.seccomp.table import IPC, SOCKETCALL, known, numbers


class Argument(TypedDict, total=False):
    """A condition on one argument of a call."""

    index: int
    value: int
    valueTwo: int
    op: str


class Rule(TypedDict, total=False):
    """What to do with some calls, under conditions that must all hold."""

    names: list[str]
    action: str
    errnoRet: int
    args: list[Argument]


class Filter(TypedDict, total=False):
    """OCI's `linux.seccomp`."""

    defaultAction: str
    defaultErrnoRet: int
    architectures: list[str]
    flags: list[str]
    listenerPath: str
    listenerMetadata: str
    syscalls: list[Rule]


ARCHITECTURE_OF = {
    "SCMP_ARCH_X86_64": "x86_64",
    "SCMP_ARCH_X86": "i386",
    "SCMP_ARCH_X32": "x32",
    "SCMP_ARCH_AARCH64": "aarch64",
    "SCMP_ARCH_ARM": "arm",
}
_SCMP_OF = {name: scmp for scmp, name in ARCHITECTURE_OF.items()}

KILL_PROCESS = 0x80000000
KILL_THREAD = 0x00000000
TRAP = 0x00030000
ERRNO = 0x00050000
USER_NOTIF = 0x7FC00000
TRACE = 0x7FF00000
LOG = 0x7FFC0000
ALLOW = 0x7FFF0000
_ACTIONS = {
    "SCMP_ACT_KILL": KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": KILL_PROCESS,
    "SCMP_ACT_TRAP": TRAP,
    "SCMP_ACT_ERRNO": ERRNO,
    "SCMP_ACT_TRACE": TRACE,
    "SCMP_ACT_ALLOW": ALLOW,
    "SCMP_ACT_LOG": LOG,
    "SCMP_ACT_NOTIFY": USER_NOTIF,
}
OPERATORS = (
    "SCMP_CMP_EQ",
    "SCMP_CMP_NE",
    "SCMP_CMP_LT",
    "SCMP_CMP_LE",
    "SCMP_CMP_GT",
    "SCMP_CMP_GE",
    "SCMP_CMP_MASKED_EQ",
)


class Condition(NamedTuple):
    """A condition on one argument: `value` compares, or with MASKED_EQ is the mask and `wanted` compares."""

    argument: int
    op: str
    value: int
    wanted: int


class Case(NamedTuple):
    """An action, and what must all hold for it; without conditions it is the call's whole story."""

    action: int
    conditions: tuple[Condition, ...]


def action_value(name: str, number: int | None = None) -> int:
    """Return the filter's return value for an OCI action.

    Raises:
        InvalidError: there is no such action.
    """
    if name not in _ACTIONS:
        message = f'unknown seccomp action: "{name}"'
        raise InvalidError(message, hint=f"one of {', '.join(_ACTIONS)}")
    value = _ACTIONS[name]
    if value in (ERRNO, TRACE):
        return value | (errno.EPERM if number is None else number) & 0xFFFF
    return value


def default_action(profile: Filter) -> int:
    """Return the value for calls that no rule names."""
    return action_value(profile.get("defaultAction", ""), profile.get("defaultErrnoRet"))


def lets_pass(action: int) -> bool:
    """Return whether an action lets the call be made, so that a newer call needs no answer from the filter."""
    return action in (ALLOW, LOG) or action & 0xFFFF0000 == TRACE


def architectures(profile: Filter, native: str) -> list[str]:
    """Return the architectures of a filter, the native one always among them, as libseccomp has it.

    Raises:
        InvalidError: one that is not known here.
    """
    found = [native]
    for name in profile.get("architectures") or []:
        if name not in ARCHITECTURE_OF:
            message = f'unknown seccomp architecture: "{name}"'
            raise InvalidError(message, hint=f"one of {', '.join(ARCHITECTURE_OF)}")
        found.append(ARCHITECTURE_OF[name])
    return list(dict.fromkeys(found))


def scmp_name(architecture: str) -> str:
    """Return libseccomp's name of an architecture."""
    return _SCMP_OF[architecture]


def flags_of(profile: Filter) -> int:
    """Return the flags for seccomp(2); without any in the document, runc's default of SPEC_ALLOW.

    Raises:
        InvalidError: a flag that does not exist.
    """
    flags = 0
    for name in profile.get("flags") or ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"]:
        if name not in FLAGS:
            message = f'unknown seccomp flag: "{name}"'
            raise InvalidError(message, hint=f"one of {', '.join(FLAGS)}")
        flags |= FLAGS[name]
    return flags


def _conditions(rule: Rule) -> list[tuple[Condition, ...]]:
    """Return the alternatives of one rule.

    Several conditions on one argument are alternatives, each for itself, though
    the specification does not say so: runc and crun take them that way.
    """
    found: list[Condition] = []
    for argument in rule.get("args") or []:
        operator, index = argument.get("op", ""), argument.get("index", 0)
        if operator not in OPERATORS or not 0 <= index <= 5:
            message = f'invalid seccomp condition: "{operator}" on argument {index}'
            raise InvalidError(
                message, hint="arguments are 0 to 5, operators SCMP_CMP_EQ, NE, LT, LE, GT, GE, MASKED_EQ"
            )
        found.append(Condition(index, operator, argument.get("value", 0), argument.get("valueTwo", 0)))
    if len({condition.argument for condition in found}) < len(found):
        return [(condition,) for condition in found]
    return [tuple(found)]


def decisions(profile: Filter, architecture: str) -> dict[int, tuple[Case, ...]]:
    """Return what a filter does with each system call number of one architecture that it names.

    A rule without conditions outdoes all others for its call; a rule whose
    action is the default one says nothing.

    Raises:
        InvalidError: an action or a condition that does not exist, or a
            notification of write(2), with which the listener itself is passed on.
    """
    default = default_action(profile)
    found: dict[int, list[Case]] = {}
    for rule in profile.get("syscalls") or []:
        action = action_value(rule.get("action", ""), rule.get("errnoRet"))
        names = rule.get("names") or []
        if action == USER_NOTIF and "write" in names:
            message = "SCMP_ACT_NOTIFY cannot be used for write"
            raise InvalidError(message, hint="the listener's descriptor is handed over with it")
        alternatives = _conditions(rule)
        if action == default:
            continue
        for name in names:
            for number, extra in _numbers(name, architecture):
                cases = found.setdefault(number, [])
                for conditions in alternatives:
                    rest = tuple(each for each in conditions if not extra or each.argument)
                    cases.append(Case(action, extra + rest))
    return {number: _simplified(cases) for number, cases in found.items()}


def _numbers(name: str, architecture: str) -> "list[tuple[int, tuple[Condition, ...]]]":
    """Return the numbers of a call, and the condition that tells it from others of the same number."""
    found: list[tuple[int, tuple[Condition, ...]]] = []
    table = numbers(architecture)
    if name in table:
        found.append((table[name], ()))
    if architecture == "i386":
        for shared, members in (("socketcall", SOCKETCALL), ("ipc", IPC)):
            if name in members:
                # It takes the place of the rule's own condition on argument 0, which lies behind a
                # pointer here (as the others do, but libseccomp keeps those).
                found.append((table[shared], (Condition(0, "SCMP_CMP_EQ", members[name], 0),)))
    return found


def _simplified(cases: list[Case]) -> tuple[Case, ...]:
    whole = [case for case in cases if not case.conditions]
    return tuple(whole[:1]) or tuple(dict.fromkeys(cases))


def last_number(profile: Filter, architecture: str) -> int | None:
    """Return the highest number that a filter names; a kernel's newer calls lie above it.

    Calls above get ENOSYS instead of the default EPERM, so that a C library
    that tries a new call falls back to the old one.

    See Also:
        runc, libcontainer/seccomp/patchbpf/enosys_linux.go
    """
    table = numbers(architecture)
    named = [table[name] for rule in profile.get("syscalls") or [] for name in rule.get("names") or [] if name in table]
    return max(named, default=None)


def unknown_names(profile: Filter) -> list[str]:
    """Return the names that no architecture has: misspelt, or newer than this table."""
    return sorted({name for rule in profile.get("syscalls") or [] for name in rule.get("names") or []} - known())
