"""`container system df`."""

from typing import Any

from toolkit.cli.command import Command
from toolkit.cli.commands.ps import FORMAT_HELP, age, status_text
from toolkit.cli.flags import BOOL, STRING, Flag, Parsed
from toolkit.cli.session import Outcome, Session
from toolkit.cli.table import ellipsis, render_rows
from toolkit.core.errors import InvalidError
from toolkit.core.ids import short_id
from toolkit.core.units import format_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.engine.usage import ContainerUsage, ImageUsage, Usage, VolumeUsage

_HEADERS = {"Type": "TYPE", "TotalCount": "TOTAL", "Active": "ACTIVE", "Size": "SIZE", "Reclaimable": "RECLAIMABLE"}
_IMAGE_HEADERS = {
    "Repository": "REPOSITORY",
    "Tag": "TAG",
    "ID": "IMAGE ID",
    "CreatedSince": "CREATED",
    "Size": "SIZE",
    "SharedSize": "SHARED SIZE",
    "UniqueSize": "UNIQUE SIZE",
    "Containers": "CONTAINERS",
}
_CONTAINER_HEADERS = {
    "ID": "CONTAINER ID",
    "Image": "IMAGE",
    "Command": "COMMAND",
    "LocalVolumes": "LOCAL VOLUMES",
    "Size": "SIZE",
    "RunningFor": "CREATED",
    "Status": "STATUS",
    "Names": "NAMES",
}
_VOLUME_HEADERS = {"Name": "VOLUME NAME", "Links": "LINKS", "Size": "SIZE"}
_COMMAND_WIDTH = 20


def df(session: Session, parsed: Parsed) -> Outcome:
    """Print how much disk images and containers take."""
    from toolkit.engine.usage import disk_usage

    if parsed["verbose"] and parsed["format"]:
        raise InvalidError("--verbose and --format do not go together yet", hint="leave one of them out")
    usage = disk_usage(session.engine)
    if parsed["verbose"]:
        session.stdout.write(_details(usage))
    else:
        session.stdout.write(render_rows(_rows(usage), _HEADERS, tuple(_HEADERS), parsed["format"]))
    return Outcome(value=usage)


def _rows(usage: "Usage") -> list[dict[str, Any]]:
    containers = usage.containers
    return [
        _row(
            "Images",
            len(usage.images),
            sum(each.containers > 0 for each in usage.images),
            usage.layers_bytes,
            usage.reclaimable_image_bytes,
        ),
        _row(
            "Containers",
            len(containers),
            sum(each.is_up for each in containers),
            usage.container_bytes,
            usage.reclaimable_container_bytes,
        ),
        _row(
            "Local Volumes",
            len(usage.volumes),
            sum(each.links > 0 for each in usage.volumes),
            usage.volume_bytes,
            usage.reclaimable_volume_bytes,
        ),
        _row("Build Cache", 0, 0, 0, 0),
    ]


def _row(kind: str, total: int, active: int, size: int, reclaimable: int) -> dict[str, Any]:
    percent = f" ({100 * reclaimable // size}%)" if size else ""
    return {
        "Active": str(active),
        "Reclaimable": format_bytes(reclaimable) + percent,
        "Size": format_bytes(size),
        "TotalCount": str(total),
        "Type": kind,
    }


def _details(usage: "Usage") -> str:
    """Return docker's long form, section by section."""
    import time

    now_ns = time.time_ns()
    images = [row for each in usage.images for row in _image_rows(each, now_ns)]
    containers = [_container_row(each, now_ns) for each in usage.containers]
    return "\n".join(
        (
            "Images space usage:\n",
            render_rows(images, _IMAGE_HEADERS, tuple(_IMAGE_HEADERS)),
            "Containers space usage:\n",
            render_rows(containers, _CONTAINER_HEADERS, tuple(_CONTAINER_HEADERS)),
            "Local Volumes space usage:\n",
            render_rows([_volume_row(each) for each in usage.volumes], _VOLUME_HEADERS, tuple(_VOLUME_HEADERS)),
            "Build cache usage: 0B\n",
            "CACHE ID   CACHE TYPE   SIZE      CREATED   LAST USED   USAGE     SHARED\n",
        )
    )


def _image_rows(image: "ImageUsage", now_ns: int) -> list[dict[str, Any]]:
    record = image.record
    names = [name.rpartition(":")[::2] for name in record.names] or [("<none>", "<none>")]
    return [
        {
            "Repository": repository,
            "Tag": tag,
            "ID": short_id(record.id),
            "CreatedSince": age(record.created, now_ns) + " ago",
            "Size": format_bytes(record.size),
            "SharedSize": format_bytes(image.shared_bytes),
            "UniqueSize": format_bytes(image.unique_bytes),
            "Containers": str(image.containers),
        }
        for repository, tag in names
    ]


def _volume_row(usage: "VolumeUsage") -> dict[str, Any]:
    size = "N/A" if usage.size_bytes < 0 else format_bytes(usage.size_bytes)
    return {"Name": usage.volume.name, "Links": str(usage.links), "Size": size}


def _local_volumes(usage: "ContainerUsage") -> int:
    from toolkit.volume.point import decode

    points = decode(usage.container.doc.get("mounts", ()))
    return len({point.name for point in points if point.is_volume and point.driver == "local"})


def _container_row(usage: "ContainerUsage", now_ns: int) -> dict[str, Any]:
    document = usage.container.summary()
    command = " ".join((document["Path"], *document["Args"]))
    return {
        "ID": short_id(usage.container.id),
        "Image": document["Config"]["Image"],
        "Command": f'"{ellipsis(command, _COMMAND_WIDTH)}"',
        "LocalVolumes": str(_local_volumes(usage)),
        "Size": format_bytes(usage.written_bytes),
        "RunningFor": age(document["Created"], now_ns) + " ago",
        "Status": status_text(document["State"], now_ns),
        "Names": usage.container.name,
    }


SYSTEM_DF = Command(
    "df",
    "[OPTIONS]",
    "Show disk usage",
    df,
    "container system df --verbose",
    flags=(
        Flag("format", "", STRING, FORMAT_HELP),
        Flag("verbose", "v", BOOL, "Show detailed information on space usage"),
    ),
    max_args=0,
)
