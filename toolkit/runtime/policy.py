"""A container's restart policy: what is written down about it, and what it decides.

The policy lies in a file beside the exit record, so that it can be changed
while the container runs, and so that a container without one costs its monitor
no more than a look at its end.

See Also:
    moby, restartmanager/restartmanager.go: the numbers and the cases are docker's
"""

import os

from toolkit.core import document
from toolkit.core.record import NamedTuple
from toolkit.runtime.meeting import ASKED_FILE, RESTART_FILE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

FIRST_DELAY_S = 0.1
LONGEST_DELAY_S = 60.0
PROVEN_S = 10.0
"""Who has run so long begins with the first delay again."""


class Policy(NamedTuple):
    """The content of the file."""

    name: str
    """"always", "unless-stopped" or "on-failure"."""
    max_retries: int
    """How often at most, of on-failure; 0: without end."""
    command: tuple[str, ...]
    """What starts the container again; the number of the lock's descriptor is appended."""
    restarts: int = 0
    """How often it has been started again since somebody last started it by hand."""
    delay_s: float = 0.0
    """How long was waited last."""


def decide(policy: Policy, *, code: int, ran_s: float, asked: str) -> Policy | None:
    """Return the policy with the next count and delay if the container is to be started again, else None.  Pure.

    Args:
        policy: as it stands.
        code: how the container ended.
        ran_s: how long it ran, in seconds.
        asked: what somebody asked for meanwhile, see ASKED_FILE.
    """
    if asked not in ("", "signal"):
        return None
    before_s = 0.0 if ran_s >= PROVEN_S else policy.delay_s
    delay_s = min(2 * before_s, LONGEST_DELAY_S) or FIRST_DELAY_S
    is_wanted = {
        "always": True,
        "unless-stopped": not asked,
        "on-failure": code != 0 and (not policy.max_retries or policy.restarts < policy.max_retries),
    }.get(policy.name, False)
    return policy._replace(restarts=policy.restarts + 1, delay_s=delay_s) if is_wanted else None


def read(directory: str) -> Policy | None:
    """Return the policy of the container whose files lie in `directory`; None where it has none."""
    try:
        with open(f"{directory}/{RESTART_FILE}", "rb") as file:
            return Policy(**document.decode(file.read()))
    except (FileNotFoundError, ValueError, TypeError):  # there is none, or a crash of the machine has cut it short
        return None


def write(directory: str, policy: Policy) -> None:
    """Store the policy of the container whose files lie in `directory`, whole."""
    write_document(f"{directory}/{RESTART_FILE}", policy._asdict())


def asked(directory: str) -> str:
    """Return what somebody has asked for since the container was started, "" for nothing."""
    try:
        with open(f"{directory}/{ASKED_FILE}") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def write_document(path: str, content: "dict[str, Any]") -> None:
    """Write a JSON file that is seen whole or not at all."""
    with open(f"{path}.new", "wb") as file:
        file.write(document.encode(content))
    os.rename(f"{path}.new", path)
