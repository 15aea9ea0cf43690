"""What lists show of a container: the part of `inspect` that costs no more than the container's own record."""

from toolkit.core import clock
from toolkit.engine.argv import words
from toolkit.engine.container import PAUSED, RESTARTING, Container, Status
from toolkit.engine.health import state as state_of_health

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


def summary(one: Container) -> "dict[str, Any]":
    """Return the fields that `container ps` needs, as `inspect` has them."""
    doc = one.doc
    options = doc["options"]  # as they are stored: to parse them takes as long as all the rest
    argv = words(options.get("entrypoint"), options.get("command", ()), doc["image_config"])
    names = list(doc.get("networks") or {})
    network = options.get("network", "default")
    if not names and not network.startswith("container:"):
        names = ["none" if network == "default" else network]
    status = one.read_status()
    return {
        "Id": one.id,
        "Created": doc["created"],
        "Path": argv[0],
        "Args": list(argv[1:]),
        "State": state(one, status),
        "Image": doc["image_id"],
        "Name": f"/{one.name}",
        "Mounts": _mounts(one) if "mounts" in doc else [],
        "Config": {
            "Image": options["image"],
            "Labels": {**(doc["image_config"].get("Labels") or {}), **options.get("labels", {})},
        },
        "NetworkSettings": {"Networks": {name: {} for name in names}, "Ports": _ports(one, status)},
    }


def _mounts(one: Container) -> "list[dict[str, Any]]":
    from toolkit.volume.point import decode

    return [point.inspect(point.source) for point in decode(one.doc["mounts"])]


def _ports(one: Container, status: Status) -> "dict[str, Any]":
    """Return what is published or exposed, where anything may be."""
    options = one.doc["options"]
    if not status.is_alive or not (options.get("publish") or options.get("publish_all") or one.exposed):
        return {}
    from toolkit.engine.networkinspect import ports

    return ports(one, one.engine.networks.endpoints(one.id).values())


def state(one: Container, status: Status) -> "dict[str, Any]":
    """Return a status as Docker's State."""
    ended = status.exit
    health = state_of_health(one)
    return {
        "Status": status.state,
        "Running": status.is_up,
        "Paused": status.state == PAUSED,
        "Restarting": status.state == RESTARTING,
        "OOMKilled": bool(ended and ended.oom_killed),
        "Dead": False,
        "Pid": status.pid,
        "ExitCode": ended.code if ended else 0,
        "Error": ended.error if ended else "",
        "StartedAt": status.started_at or clock.ZERO,
        "FinishedAt": (ended.finished_at if ended else "") or clock.ZERO,
        **({} if health is None else {"Health": health}),
    }
