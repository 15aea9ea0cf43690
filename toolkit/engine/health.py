"""Health checks and time limits: from the options and the image to what a monitor is to do.

See Also:
    Docker Engine API, HealthConfig; podman-run(1), --health-on-failure and --timeout
"""

from toolkit.core.errors import InvalidError
from toolkit.runtime import health
from toolkit.runtime.health import Check

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from toolkit.engine.container import Container
    from toolkit.engine.options import ContainerOptions

ACTIONS = ("", "none", "kill", "restart", "stop")
_MIN_NS = 1_000_000
_TIMES = {
    "Interval": "health_interval_ns",
    "Timeout": "health_timeout_ns",
    "StartPeriod": "health_start_period_ns",
    "StartInterval": "health_start_interval_ns",
}


def check(options: "ContainerOptions") -> None:
    """Refuse what means nothing, in docker's words.

    Raises:
        InvalidError: with the cure.
    """
    for name, field in _TIMES.items():
        value_ns = getattr(options, field)
        if value_ns and value_ns < _MIN_NS:
            raise InvalidError(f"{name} in Healthcheck cannot be less than 1ms", hint="give it a unit, such as 5s")
    if options.health_retries < 0:
        raise InvalidError("Retries in Healthcheck cannot be negative", hint="leave it out")
    if options.health_on_failure not in ACTIONS:
        message = f'invalid action "{options.health_on_failure}" for --health-on-failure'
        raise InvalidError(message, hint="one of none, kill, restart, stop")
    if options.timeout_s < 0:
        raise InvalidError("the time that a container may run cannot be negative", hint="leave --timeout out")


def configuration(options: "ContainerOptions", image: "dict[str, Any]") -> "dict[str, Any]":
    """Return docker's HealthConfig: the user's over the image's; empty where neither asks for one."""
    theirs: dict[str, Any] = image.get("Healthcheck") or {}
    mine: dict[str, Any] = {name: getattr(options, field) for name, field in _TIMES.items()}
    mine |= {"Test": list(options.health_test), "Retries": options.health_retries}
    merged = {key: mine.get(key) or theirs.get(key) for key in ("Test", *_TIMES, "Retries")}
    return {key: value for key, value in merged.items() if value}


def probe_command(config: "dict[str, Any]", image: "dict[str, Any]") -> tuple[str, ...]:
    """Return the command that a HealthConfig names; empty for none."""
    kind, *words = config.get("Test") or [""]
    if kind == "CMD":
        return tuple(words)
    if kind == "CMD-SHELL" and words:
        return (*(image.get("Shell") or ("/bin/sh", "-c")), words[0])
    return ()


def is_checked(one: "Container") -> bool:
    """Tell whether a container has a health check; without any import or file."""
    options, image = one.doc["options"], one.doc["image_config"]
    if not options.get("health_test") and not image.get("Healthcheck"):
        return False
    return bool(probe_command(configuration(one.options, image), image))


def state(one: "Container") -> "dict[str, Any] | None":
    """Return docker's State.Health of a container; None where it has no health check."""
    return health.read(one.directory) if is_checked(one) else None


def check_of(config: "dict[str, Any]", on_failure: str) -> Check:
    """Return how a monitor is to go about it."""
    default = Check()
    seconds = {name: config.get(name, 0) / 1e9 for name in _TIMES}
    return Check(
        seconds["Interval"] or default.interval_s,
        seconds["Timeout"] or default.timeout_s,
        seconds["StartPeriod"],
        seconds["StartInterval"] or default.start_interval_s,
        config.get("Retries") or default.retries,
        on_failure,
    )
