"""Device rules: what they come to, the program made of them, and the kernel's answers."""

import itertools
import os
import stat
import struct
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.child import in_child
from toolkit.core.errors import InvalidError
from toolkit.linux.bpf import attach_device_program, device_programs, load_device_program, replace_device_programs
from toolkit.linux.cgroup import detect, devices, v1
from toolkit.linux.cgroup.resources import Device, Resources

DENY_ALL = Device(allow=False, access="rwm")
MKNOD = [Device(allow=True, type=kind, access="m") for kind in "cb"]
NULL = Device(allow=True, type="c", major=1, minor=3, access="rwm")
READ, WRITE, MAKE = 2, 4, 1


def v2_program(resources: Resources) -> bytes:
    return devices.program(resources["devices"])


def interpret(code: bytes, kind: str, major: int, minor: int, access: int) -> bool:
    """Return a program's answer, as the kernel's eBPF machine would compute it."""
    context = {0: access << 16 | {"b": 1, "c": 2}[kind], 4: major, 8: minor}
    instructions = list(struct.iter_unpack("=BBhi", code))
    registers = [0] * 10
    registers[1] = -1
    position = 0
    while True:
        operation, pair, offset, constant = instructions[position]
        target, source = pair & 0xF, pair >> 4
        position += 1
        if operation == 0x61:
            assert registers[source] == -1, "only the context may be read"
            registers[target] = context[offset]
        elif operation == 0x54:
            registers[target] &= constant
        elif operation == 0x74:
            registers[target] >>= constant
        elif operation == 0xB4:
            registers[target] = constant
        elif operation == 0xBC:
            registers[target] = registers[source]
        elif operation == 0x95:
            return bool(registers[0])
        elif operation in (0x55, 0x15):
            position += offset if (registers[target] != constant) == (operation == 0x55) else 0
        else:
            raise AssertionError(hex(operation))


def by_the_rules(rules: list[Device], kind: str, major: int, minor: int, access: int) -> bool:
    """Say what the specification means: of each access that is wanted, the last rule that names it decides."""

    def last(bit: int) -> bool:
        letter = {MAKE: "m", READ: "r", WRITE: "w"}[bit]
        for rule in reversed(rules):
            if rule.get("type", "a") == "a":
                return rule.get("allow", False)
            numbers = (rule.get("major", -1) in (-1, major), rule.get("minor", -1) in (-1, minor))
            if rule.get("type") == kind and all(numbers) and letter in rule.get("access", "rwm"):
                return rule.get("allow", False)
        return False

    return all(last(bit) for bit in (MAKE, READ, WRITE) if access & bit)


RULES = {
    "docker": [DENY_ALL, *MKNOD, NULL, Device(allow=True, type="c", major=136, access="rwm")],
    "privileged": [Device(allow=True)],
    "all but one": [Device(allow=True), Device(allow=False, type="c", major=1, minor=3, access="w")],
    "nothing": [DENY_ALL],
    "read only": [DENY_ALL, Device(allow=True, type="b", major=8, minor=0, access="r")],
    "read, then write": [
        Device(allow=True, type="c", major=1, minor=3, access="r"),
        Device(allow=True, type="c", major=1, minor=3, access="w"),
    ],
    "allowed and taken back": [NULL, Device(allow=False, type="c", major=1, minor=3, access="w")],
    "a hole in a wildcard": [*MKNOD, Device(allow=False, type="c", major=1, minor=3, access="m")],
    "a wildcard over an exception": [NULL, Device(allow=False, type="c", major=1, access="w")],
}


REQUESTS = list(itertools.product("bc", (0, 1, 8, 136), (0, 3, 5), range(1, 8)))


@pytest.mark.parametrize("name", list(RULES))
def test_program_answers_as_the_rules_say(name: str) -> None:
    code = devices.program(RULES[name])
    for each in REQUESTS:
        assert interpret(code, *each) == by_the_rules(RULES[name], *each), each


NUMBERS = st.one_of(st.none(), st.sampled_from([-1, 0, 1, 3, 8]))
ACCESSES = st.sampled_from(["".join(each) for count in (1, 2, 3) for each in itertools.combinations("rwm", count)])


@st.composite
def a_rule(draw: st.DrawFn) -> Device:
    kind = draw(st.sampled_from("abccb"))
    rule = Device(allow=draw(st.booleans()), type=kind, access="rwm" if kind == "a" else draw(ACCESSES))
    for key, number in (("major", draw(NUMBERS)), ("minor", draw(NUMBERS))):
        if kind != "a" and number is not None:
            rule[key] = number  # type: ignore[literal-required]  # the two names above
    return rule


@given(rules=st.lists(a_rule(), max_size=8))
def test_any_list_of_rules_is_answered_by_the_last_that_matches(rules: list[Device]) -> None:
    code = devices.program(rules)
    for each in itertools.product("bc", (0, 1, 3, 8), (0, 1, 3), range(1, 8)):
        assert interpret(code, *each) == by_the_rules(rules, *each), each


@pytest.mark.needs("root", "bpf")
@settings(max_examples=50, deadline=None)
@given(rules=st.lists(a_rule(), max_size=8))
def test_kernel_takes_the_program_of_any_rules(rules: list[Device]) -> None:
    os.close(load_device_program(devices.program(rules)))


HOLES = {
    r"c 1:3 contradicts c \*:\* before it": [*MKNOD, Device(allow=False, type="c", major=1, minor=3, access="m")],
    r"c 1:\* contradicts c 1:3 before it": [NULL, Device(allow=False, type="c", major=1, access="w")],
    r"b 8:0 contradicts b 8:\* before it": [
        Device(allow=True),
        Device(allow=False, type="b", major=8),
        Device(allow=True, type="b", major=8, minor=0, access="r"),
    ],
}


@pytest.mark.parametrize("message", list(HOLES))
def test_v1_refuses_what_its_kernel_code_would_ignore(message: str) -> None:
    with pytest.raises(InvalidError, match=message):
        v1.settings({"devices": HOLES[message]})


@pytest.mark.parametrize("name", ["docker", "privileged", "all but one", "read, then write", "allowed and taken back"])
def test_v1_takes_what_its_kernel_code_can_do(name: str) -> None:
    assert len(v1.settings({"devices": RULES[name]})) == len(RULES[name])


@pytest.mark.parametrize("version", [v1.settings, v2_program])
@pytest.mark.parametrize(
    ("rule", "message"),
    [
        (Device(allow=True, type="c", access="rx"), 'invalid device access: "rx"'),
        (Device(allow=True, type="p"), 'invalid device type: "p"'),
    ],
)
def test_rules_that_mean_nothing_are_refused(
    version: Callable[[Resources], object], rule: Device, message: str
) -> None:
    with pytest.raises(InvalidError, match=message):
        version({"devices": [rule]})


def outcome(path: str, flags: int = os.O_RDONLY) -> str:
    try:
        os.close(os.open(path, flags))
    except PermissionError:
        return "EPERM"
    return "0"


@pytest.fixture
def name() -> Iterator[str]:
    parent = f"/toolkit-test-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    yield f"{parent}/one"
    detect().remove(parent)


IN_V2: Resources = {"unified": {"cgroup.max.depth": "1"}}
"""Has a v2 group made on a hybrid host, too."""
OPEN_NULL_ONLY: Resources = {"devices": [DENY_ALL, *MKNOD, NULL]}


def try_devices(name: str) -> list[str]:
    hierarchy = detect()

    def attempt() -> list[str]:
        hierarchy.join(name)
        return [outcome("/dev/null"), outcome("/dev/null", os.O_RDWR), outcome("/dev/zero"), outcome("/dev/full")]

    return in_child(attempt)


@pytest.mark.needs("root", "cgroup:any")
def test_a_created_group_opens_only_what_is_allowed(name: str) -> None:
    detect().create(name, OPEN_NULL_ONLY)
    assert try_devices(name) == ["0", "0", "EPERM", "EPERM"]


@pytest.mark.needs("root", "cgroup2:any", "bpf")
def test_v2_program_opens_only_what_is_allowed(name: str) -> None:
    """On a hybrid host too: the program belongs to the v2 directory, whatever v1 says."""
    hierarchy = detect()
    hierarchy.create(name, IN_V2)
    attach_device_program(hierarchy.path(name), devices.program(OPEN_NULL_ONLY["devices"]))
    assert try_devices(name) == ["0", "0", "EPERM", "EPERM"]


@pytest.mark.needs("root", "cgroup2:any", "bpf")
def test_v2_program_tells_reading_from_writing(name: str) -> None:
    hierarchy = detect()
    hierarchy.create(name, IN_V2)
    rules = [DENY_ALL, *(Device(allow=True, type="c", major=1, minor=minor, access="r") for minor in (3, 5))]
    attach_device_program(hierarchy.path(name), devices.program(rules))
    assert try_devices(name) == ["0", "EPERM", "0", "EPERM"]


@pytest.mark.needs("root", "cgroup2:any", "bpf")
def test_v2_program_has_holes_in_its_wildcards(name: str) -> None:
    """Which v1 cannot have."""
    hierarchy = detect()
    hierarchy.create(name, IN_V2)
    rules = [DENY_ALL, Device(allow=True, type="c", major=1), Device(allow=False, type="c", major=1, minor=5)]
    attach_device_program(hierarchy.path(name), devices.program(rules))
    assert try_devices(name) == ["0", "0", "EPERM", "0"]


@pytest.mark.needs("root", "cgroup2:any", "bpf")
def test_v2_program_is_replaced_not_added(name: str) -> None:
    hierarchy = detect()
    hierarchy.create(name, IN_V2)
    replace_device_programs(hierarchy.path(name), devices.program(OPEN_NULL_ONLY["devices"]))
    zero = [DENY_ALL, Device(allow=True, type="c", major=1, minor=5, access="r")]
    replace_device_programs(hierarchy.path(name), devices.program(zero))
    assert try_devices(name) == ["EPERM", "EPERM", "0", "EPERM"]
    group = hierarchy.open(name)
    try:
        assert len(device_programs(group)) == 1
    finally:
        os.close(group)


@pytest.mark.needs("root", "cgroup2:any", "bpf")
def test_v2_program_answers_mknod(name: str, tmp_path: Path) -> None:
    hierarchy = detect()
    hierarchy.create(name, IN_V2)
    rules = [DENY_ALL, Device(allow=True, type="c", major=1, minor=3, access="m")]
    attach_device_program(hierarchy.path(name), devices.program(rules))

    def attempt() -> list[str]:
        hierarchy.join(name)
        found: list[str] = []
        for kind, minor in ((stat.S_IFCHR, 3), (stat.S_IFCHR, 5), (stat.S_IFBLK, 3)):
            try:
                os.mknod(tmp_path / f"{kind}-{minor}", kind | 0o600, os.makedev(1, minor))
                found.append("0")
            except PermissionError:
                found.append("EPERM")
        return found

    assert in_child(attempt) == ["0", "EPERM", "EPERM"]
