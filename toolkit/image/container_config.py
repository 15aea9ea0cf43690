"""The part of an image's config that says what a container of it runs: checked here, and trusted from then on.

It comes from whoever made the image and reaches execve: so each member must be
of its kind, none may have a null byte in it, and a variable has a name.
"""

from typing import Any

import msgspec

from toolkit.core.errors import InvalidError

_COMMANDS = ("Entrypoint", "Cmd", "Shell")
_TEXTS = ("Env", *_COMMANDS, "User", "WorkingDir")


class _Health(msgspec.Struct, frozen=True, rename="pascal"):
    test: list[str] | None = None
    interval: int | None = None
    timeout: int | None = None
    start_period: int | None = None
    start_interval: int | None = None
    retries: int | None = None


class _ContainerConfig(msgspec.Struct, frozen=True, rename="pascal"):
    """Docker's names; see image-spec config.md, Properties of config."""

    user: str | None = None
    env: list[str] | None = None
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    shell: list[str] | None = None
    on_build: list[str] | None = None
    working_dir: str | None = None
    labels: dict[str, str] | None = None
    volumes: dict[str, Any] | None = None
    exposed_ports: dict[str, Any] | None = None
    stop_signal: str | None = None
    stop_timeout: int | None = None
    healthcheck: _Health | None = None


def check(config: dict[str, Any]) -> dict[str, Any]:
    """Return the config; a command that is one string becomes a list of one, as docker reads it.

    Raises:
        InvalidError: a member is not of its kind, or could not be given to a program.
    """
    config = {key: [value] if key in _COMMANDS and isinstance(value, str) else value for key, value in config.items()}
    try:
        msgspec.convert(config, _ContainerConfig)
    except msgspec.ValidationError as exc:
        raise InvalidError(f"invalid image config: config: {exc}") from exc
    for name in _TEXTS:
        value = config.get(name) or ()
        for text in (value,) if isinstance(value, str) else value:
            if "\0" in text:
                raise InvalidError(f"invalid image config: config: null byte in {name}: {text!r}")
    for pair in config.get("Env") or ():
        if not pair.partition("=")[0]:
            raise InvalidError(f"invalid image config: config: a variable without a name in Env: {pair!r}")
    return config
