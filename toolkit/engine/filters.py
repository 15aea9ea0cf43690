"""The seccomp filter of a container: from --security-opt to the compiled program."""

import binascii

from toolkit.core.errors import InvalidError
from toolkit.core.record import cast
from toolkit.linux import capability
from toolkit.runtime.plan import Filter

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from toolkit.engine.options import ContainerOptions
    from toolkit.linux.seccomp.profile import DockerProfile
    from toolkit.runtime.spec import Process

_PREFIX = "seccomp="


def compiled(root: str, options: "ContainerOptions", process: "Process") -> Filter | None:
    """Return the filter that `options` ask for, compiled for the process's capabilities; None for none.

    Raises:
        InvalidError: a profile that is not one.
    """
    profile_text = _profile_text(options)
    if profile_text is None:
        return None
    from toolkit.linux.seccomp import cache

    mask = capability.parse(process.get("capabilities", {}).get("bounding", []))
    program = cache.cached(f"{root}/cache/seccomp", parse_profile(profile_text), mask)
    encoded = binascii.b2a_base64(program.bpf, newline=False).decode()
    return Filter(encoded, program.flags, len(program.bpf) // 8, "custom" if profile_text else "default")


def _profile_text(options: "ContainerOptions") -> str | None:
    """Return the text of the profile, "" for the default one, None where there is to be no filter."""
    text = next((option[len(_PREFIX) :] for option in options.security_opt if option.startswith(_PREFIX)), "")
    return None if text == "unconfined" or (options.privileged and not text) else text


def document(options: "ContainerOptions", process: "Process") -> "dict[str, Any] | None":
    """Return the same filter as OCI's `linux.seccomp`, for a runtime that compiles it itself.

    Raises:
        InvalidError: a profile that is not one.
    """
    profile_text = _profile_text(options)
    if profile_text is None:
        return None
    from toolkit.linux.libc import MACHINE
    from toolkit.linux.seccomp.cache import kernel_version
    from toolkit.linux.seccomp.profile import default_profile, resolve

    mask = capability.parse(process.get("capabilities", {}).get("bounding", []))
    profile = parse_profile(profile_text)
    if profile is None:
        return {**default_profile(mask, MACHINE)}
    return {**resolve(profile, mask, MACHINE, kernel_version())}


def parse_profile(text: str) -> "DockerProfile | None":
    """Return the profile in the text of a --security-opt; None for the default one (or none at all).

    Raises:
        InvalidError: it is not one.
    """
    if text in ("", "builtin", "unconfined"):
        return None
    import json

    try:
        document = json.loads(text)
    except ValueError as exc:
        raise InvalidError(
            f"the seccomp profile is not JSON: {exc}", hint="give a file like docker's default.json"
        ) from exc
    if not isinstance(document, dict) or "defaultAction" not in document:
        raise InvalidError("the seccomp profile has no defaultAction", hint="give a file like docker's default.json")
    return cast("DockerProfile", document)
