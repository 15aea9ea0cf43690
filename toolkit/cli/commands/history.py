"""`container history`."""

from typing import Any

from toolkit.cli.command import Command
from toolkit.cli.commands.ps import FORMAT_HELP, age, local_time
from toolkit.cli.flags import BOOL, STRING, Flag, Parsed
from toolkit.cli.session import Outcome, Session
from toolkit.cli.table import ellipsis, render_ids, render_rows
from toolkit.core.clock import ZERO
from toolkit.core.ids import short_id
from toolkit.core.units import format_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.image.images import ImageRecord

_HEADERS = {
    "ID": "IMAGE",
    "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT",
    "CreatedBy": "CREATED BY",
    "Size": "SIZE",
    "Comment": "COMMENT",
}
_COLUMNS = ("ID", "CreatedSince", "CreatedBy", "Size", "Comment")
_WIDTH = 45
_MISSING = "<missing>"


def history(session: Session, parsed: Parsed) -> Outcome:
    """Print what an image was made of, the newest first."""
    record = session.engine.images.get(parsed.args[0])
    rows = _rows(record, truncates=not parsed["no-trunc"])
    is_ids = parsed["quiet"] and not parsed["format"]
    session.stdout.write(render_ids(rows) if is_ids else render_rows(rows, _HEADERS, _COLUMNS, parsed["format"]))
    return Outcome(value=record.history)


def _rows(record: "ImageRecord", *, truncates: bool) -> list[dict[str, Any]]:
    import time

    now_ns = time.time_ns()
    sizes = list(record.layer_sizes)
    rows: list[dict[str, Any]] = []
    for step in record.history or ({"created": record.created},) * len(sizes):
        size = 0 if step.get("empty_layer") or not sizes else sizes.pop(0)
        created = step.get("created") or ZERO
        made_by = " ".join((step.get("created_by") or "").split())
        rows.append(
            {
                "ID": _MISSING,
                "CreatedSince": "N/A" if created == ZERO else age(created, now_ns) + " ago",
                "CreatedAt": "N/A" if created == ZERO else local_time(created),
                "CreatedBy": ellipsis(made_by, _WIDTH) if truncates else made_by,
                "Size": format_bytes(size),
                "Comment": step.get("comment") or "",
            }
        )
    rows.reverse()
    if rows:
        rows[0]["ID"] = short_id(record.id) if truncates else record.id
    return rows


HISTORY = Command(
    "history",
    "[OPTIONS] IMAGE",
    "Show the history of an image",
    history,
    "container history lab",
    flags=(
        Flag("format", "", STRING, FORMAT_HELP),
        Flag("no-trunc", "", BOOL, "Don't truncate output"),
        Flag("quiet", "q", BOOL, "Only show image IDs"),
    ),
    min_args=1,
    max_args=1,
)
