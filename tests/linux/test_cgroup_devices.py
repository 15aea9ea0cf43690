"""Device rules: what they come to, the program made of them, and the kernel's answers."""

import itertools
import os
import struct
import uuid
from collections.abc import Iterator

import pytest

from tests.support.child import in_child
from toolkit.core.errors import InvalidError
from toolkit.linux.bpf import attach_device_program
from toolkit.linux.cgroup import detect, devices
from toolkit.linux.cgroup.resources import Device, Resources

DENY_ALL = Device(allow=False, access="rwm")
MKNOD = [Device(allow=True, type=kind, access="m") for kind in "cb"]
NULL = Device(allow=True, type="c", major=1, minor=3, access="rwm")
READ, WRITE, MAKE = 2, 4, 1


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
        elif operation == 0x5D:
            position += offset if registers[target] != registers[source] else 0
        else:
            raise AssertionError(hex(operation))


def by_the_rules(found: devices.Devices, kind: str, major: int, minor: int, access: int) -> bool:
    for (its_kind, its_major, its_minor), held in found.exceptions.items():
        if its_kind == kind and its_major in (-1, major) and its_minor in (-1, minor):
            if not found.allows_all and access & held == access:
                return True
            if found.allows_all and access & held:
                return False
    return found.allows_all


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
}


@pytest.mark.parametrize("name", list(RULES))
def test_program_answers_as_the_rules_say(name: str) -> None:
    code, found = devices.program(RULES[name]), devices.effective(RULES[name])
    for each in itertools.product("bc", (0, 1, 8, 136), (0, 3, 5), range(1, 8)):
        assert interpret(code, *each) == by_the_rules(found, *each), each


def test_later_rules_change_earlier_ones() -> None:
    assert devices.effective(RULES["read, then write"]).exceptions == {("c", 1, 3): READ | WRITE}
    assert devices.effective(RULES["allowed and taken back"]).exceptions == {("c", 1, 3): READ | MAKE}
    assert devices.effective([NULL, DENY_ALL]) == (False, {})


def test_denying_what_is_denied_already_says_nothing() -> None:
    assert devices.effective([DENY_ALL, Device(allow=False, type="c", major=10, minor=229, access="rwm")]) == (
        False,
        {},
    )


def test_hole_in_a_wildcard_is_refused() -> None:
    with pytest.raises(InvalidError, match=r"c 1:3 contradicts a wider one"):
        devices.effective([*MKNOD, Device(allow=False, type="c", major=1, minor=3, access="m")])


def test_unknown_access_is_refused() -> None:
    with pytest.raises(InvalidError, match='invalid device access: "rx"'):
        devices.effective([Device(allow=True, type="c", access="rx")])


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
