"""Attacks and what came of them, as a table."""

from html import escape

from toolkit.notebook.figures import Figure
from toolkit.notebook.html import AMBER, FAINT, GREEN, INK, LINE, chip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from toolkit.notebook.attacks import Attack, Outcome


def draw(attacks: "tuple[Attack, ...]", outcomes: "Mapping[str, Outcome]") -> Figure:
    """Draw each attack with its defences, and its last outcome by name."""
    rows = "".join(_row(each, outcomes.get(each.name)) for each in attacks)
    text = "\n\n".join(
        repr(outcomes[each.name])
        if each.name in outcomes
        else f"{each.name}: {each.tries}\ndefences: {', '.join(defence.name for defence in each.defences)}"
        for each in attacks
    )
    return Figure(f'<div style="color:{INK};font-size:.92em;max-width:760px">{rows}</div>', text)


def _row(attack: "Attack", outcome: "Outcome | None") -> str:
    is_on = outcome.defences if outcome else attack.switches()
    switches = " ".join(
        chip(f"{each.name}: on", GREEN) if is_on[each.name] else chip(f"{each.name}: off", FAINT)
        for each in attack.defences
    )
    return (
        f'<div style="border:1px solid {LINE};border-radius:8px;padding:.5em .9em;margin:.5em 0">'
        f"<div><b>{escape(attack.name)}</b> {switches}</div>"
        f'<div style="color:{FAINT};margin:.2em 0">{escape(attack.tries)}</div>{_outcome(outcome)}</div>'
    )


def _outcome(outcome: "Outcome | None") -> str:
    if outcome is None:
        return ""
    mark = chip("it worked", AMBER) if outcome.succeeded else chip("it failed", GREEN)
    return f"<div>{mark} {escape(outcome.evidence)}</div><div>{escape(outcome.why)}</div>"
