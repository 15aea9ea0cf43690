"""A container's state as the specification has it, in runc's form."""

import json
from typing import Any

from toolkit.runtime.oci.store import STOPPED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.runtime.oci.store import Record


def state(record: "Record", status: str) -> dict[str, Any]:
    """Return the state that hooks and listeners get, and that a caller is shown.

    See Also:
        runtime-spec runtime.md, State
    """
    document: dict[str, Any] = {
        "ociVersion": record.oci_version,
        "id": record.id,
        "status": status,
        "pid": 0 if status == STOPPED else record.pid,
        "bundle": record.bundle,
    }
    if record.annotations:
        document["annotations"] = record.annotations
    return document


def hook_state(record: "Record") -> str:
    """Return the same as JSON, without what is not known yet."""
    document = state(record, "")
    del document["status"], document["pid"]
    return json.dumps(document)


def shown(record: "Record", status: str) -> dict[str, Any]:
    """Return what `state` and `list` print: the state, and what runc adds."""
    return state(record, status) | {"rootfs": record.rootfs, "created": record.created, "owner": record.owner}
