"""`container events`."""

from typing import Any

from toolkit.cli.command import Command
from toolkit.cli.filters import FILTER, Filters, label_matches
from toolkit.cli.flags import STRING, Flag, Parsed
from toolkit.cli.moment import parse_moment_ns
from toolkit.cli.session import Outcome, Session
from toolkit.core.errors import InvalidError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

Document = dict[str, Any]

_FILTERS = ("container", "daemon", "event", "image", "label", "network", "node", "plugin", "scope", "secret", "service",
            "type", "volume")  # fmt: skip
_OBJECTS = ("container", "network", "node", "plugin", "secret", "service", "volume")
_BEGINNINGS = ("exec_create", "exec_start", "health_status")
"""Actions that go on after a colon."""


def events(session: Session, parsed: Parsed) -> Outcome:
    """Print what happens, from --since (or now) to --until (or until interrupted)."""
    filters: Filters = parsed["filter"]
    filters.check(*_FILTERS)
    show = _formatter(parsed["format"])
    following = session.engine.events.follow(
        since_ns=parse_moment_ns(parsed["since"]) if parsed["since"] else 0,
        until_ns=parse_moment_ns(parsed["until"]) if parsed["until"] else 0,
        is_wanted=lambda event: matches(event, filters),
    )
    seen: list[Document] = []
    for event in following:
        session.print(show(event))
        session.stdout.flush()
        if parsed["until"]:
            seen.append(event)
    return Outcome(value=seen)


def matches(event: Document, filters: Filters) -> bool:
    """Tell whether an event is one that was asked for, by docker's rules (moby, daemon/events/filter.go)."""
    actor: dict[str, str] = event["Actor"]["Attributes"]
    return (
        _is_action(event["Action"], filters["event"])
        and filters.any_among("type", [event["Type"]])
        and filters.any_among("scope", [event["scope"]])
        and not filters["daemon"]
        and all(_is_object(event, kind, filters[kind]) for kind in _OBJECTS if kind in filters)
        and (not filters["image"] or _is_image(event, filters["image"]))
        and all(label_matches(wanted, actor) for wanted in filters["label"])
    )


def _is_action(action: str, wanted: list[str]) -> bool:
    if any(word in _BEGINNINGS for word in wanted):
        return any(action.startswith(word) for word in wanted)
    return not wanted or action in wanted


def _is_object(event: Document, kind: str, wanted: list[str]) -> bool:
    names = (event["Actor"]["ID"], event["Actor"]["Attributes"].get("name", ""))
    return event["Type"] == kind and any(name.startswith(word) for word in wanted for name in names)


def _is_image(event: Document, wanted: list[str]) -> bool:
    name = event["Actor"]["Attributes"].get("name" if event["Type"] == "image" else "image", "")
    known = {known for each in (event["Actor"]["ID"], name) for known in (each, _without_tag(each))}
    return not known.isdisjoint(wanted)


def _without_tag(name: str) -> str:
    base, _, last = name.rpartition("/")
    return f"{base}/{last.partition(':')[0]}" if base else last.partition(":")[0]


def _formatter(template: str) -> "Callable[[Document], str]":
    """Return what makes a line of an event."""
    if not template:
        return _as_text
    from toolkit.cli.template import TemplateError, compile_template, render

    try:
        compiled = compile_template("{{json .}}" if template == "json" else template)
    except TemplateError as exc:
        raise InvalidError(f"template parsing error: {exc}") from exc

    def show(event: Document) -> str:
        from toolkit.cli.template import FreeMap

        actor = {**event["Actor"], "Attributes": FreeMap(event["Actor"]["Attributes"])}
        names = {"Status": event.get("status", ""), "ID": event.get("id", ""), "From": event.get("from", "")}
        document: Any = event if template in ("json", "{{json .}}") else {**event, **names, **_times(event)}
        try:
            return render(compiled, {**document, "Actor": actor})
        except TemplateError as exc:
            raise InvalidError(f"template parsing error: {exc}") from exc

    return show


def _times(event: Document) -> Document:
    return {"Scope": event["scope"], "Time": event["time"], "TimeNano": event["timeNano"]}


def _as_text(event: Document) -> str:
    """Return a line as docker prints it: local time with all nine digits, attributes in order."""
    import time

    seconds, rest_ns = divmod(event["timeNano"], 10**9)
    local = time.localtime(seconds)
    zone = time.strftime("%z", local)
    stamp = time.strftime("%Y-%m-%dT%H:%M:%S", local) + f".{rest_ns:09d}"
    stamp += "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:]}"
    attributes = ", ".join(f"{key}={value}" for key, value in sorted(event["Actor"]["Attributes"].items()))
    text = f"{stamp} {event['Type']} {event['Action']} {event['Actor']['ID']}"
    return f"{text} ({attributes})" if attributes else text


EVENTS = Command(
    "events",
    "[OPTIONS]",
    "Get real time events from the engine",
    events,
    "container events --since 10m --filter event=die --format '{{.Actor.Attributes.name}}'",
    flags=(
        Flag("filter", "f", FILTER, "Filter output based on conditions provided"),
        Flag(
            "format",
            "",
            STRING,
            "Format output using a custom template:\n'json':             Print in JSON format\n"
            "'TEMPLATE':         Print output using the given Go template",
        ),
        Flag("since", "", STRING, "Show all events created since timestamp"),
        Flag("until", "", STRING, "Stream events until this timestamp"),
    ),
    max_args=0,
)
