"""Platforms: os/architecture[/variant], and which ones a machine can run.

Names and compatibility follow github.com/containerd/platforms.
"""

import os
from typing import NamedTuple

from toolkit.core.errors import InvalidError

_ARCHITECTURES = {
    "x86_64": "amd64",
    "x86-64": "amd64",
    "amd64": "amd64",
    "aarch64": "arm64",
    "arm64": "arm64",
    "i386": "386",
    "i686": "386",
    "386": "386",
    "armhf": "arm",
    "armel": "arm",
    "armv6l": "arm",
    "armv7l": "arm",
    "arm": "arm",
    "ppc64le": "ppc64le",
    "s390x": "s390x",
    "riscv64": "riscv64",
    "loongarch64": "loong64",
    "loong64": "loong64",
    "mips64le": "mips64le",
    "mips64el": "mips64le",
}
_IMPLIED_VARIANT = {"armhf": "v7", "armv7l": "v7", "arm": "v7", "armel": "v6", "armv6l": "v6"}
_SYSTEMS = ("linux", "windows", "darwin", "freebsd", "netbsd", "openbsd", "solaris", "illumos", "android", "wasi")
_LAST_ARM_32 = 5


class Platform(NamedTuple):
    """What an image was built for, or what a machine is, in normal form."""

    os: str
    architecture: str
    variant: str = ""
    """Empty for the base of amd64 (v1) and of arm64 (v8)."""

    def __str__(self) -> str:
        return "/".join(part for part in self if part)


def normalize(system: str, architecture: str, variant: str = "") -> Platform:
    """Return the platform with the names that OCI (and Go) use."""
    machine = architecture.lower()
    name = _ARCHITECTURES.get(machine, machine)
    variant = variant.lower()
    if variant[:1].isdigit():
        variant = "v" + variant
    if machine in ("armhf", "armel", "armv6l", "armv7l") or (name == "arm" and not variant):
        variant = variant or _IMPLIED_VARIANT[machine]
    if (name, variant) in (("arm64", "v8"), ("arm64", "v8.0"), ("amd64", "v1")):
        variant = ""
    return Platform(system.lower(), name, variant)


def host_platform() -> Platform:
    """Return the platform of this machine."""
    return normalize("linux", os.uname().machine)


def parse_platform(text: str) -> Platform:
    """Read os, architecture, os/architecture or os/architecture/variant; the rest is this machine's.

    Raises:
        InvalidError: unknown or too many parts.
    """
    parts = text.lower().split("/")
    here = host_platform()
    match parts:
        case [one] if one in _SYSTEMS:
            return Platform(one, here.architecture, here.variant)
        case [one] if one in _ARCHITECTURES:
            return normalize("linux", one)
        case [system, machine] if system and machine:
            return normalize(system, machine)
        case [system, machine, variant] if system and machine and variant:
            return normalize(system, machine, variant)
        case _:
            raise InvalidError(
                f'"{text}": unknown operating system or architecture: invalid argument',
                hint="write it as linux/amd64 or linux/arm64/v8",
            )


def runnable_on(machine: Platform) -> list[Platform]:
    """Return the platforms whose programs run on `machine`, best first."""
    older = [Platform(machine.os, machine.architecture, variant) for variant in _older_variants(machine)]
    compatible = [machine, *older]
    if machine.architecture == "amd64":
        compatible.append(Platform(machine.os, "386"))
    elif machine.architecture == "arm64":
        compatible += runnable_on(Platform(machine.os, "arm", "v8"))
    return compatible


def _older_variants(machine: Platform) -> list[str]:
    """Return the variants that come before the machine's own, newest first; "" is the oldest."""
    text = machine.variant.removeprefix("v").partition(".")[0]
    if not text.isdecimal():
        return []
    match machine.architecture:
        case "amd64":
            return [*(f"v{level}" for level in range(int(text) - 1, 1, -1)), ""]
        case "arm":
            return [f"v{level}" for level in range(int(text) - 1, _LAST_ARM_32 - 1, -1)]
        case "arm64":
            return [""]
        case _:
            return []
