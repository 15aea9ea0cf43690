"""The break-it arena: attacks made for real, their defences as switches."""

from typing import Any, ClassVar

import traitlets

from toolkit.core.errors import EngineError, NotFoundError
from toolkit.notebook.attacks import ATTACKS, Attack, Outcome
from toolkit.notebook.containers import the_engine
from toolkit.notebook.figures.arena import draw
from toolkit.notebook.widgets.base import LiveWidget, style
from toolkit.notebook.widgets.live import live_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from toolkit.notebook.figures import Figure

_KEPT = 6


class ArenaWidget(LiveWidget):
    """See `toolkit.notebook.pictures.arena`."""

    _esm: ClassVar[str] = live_module("arena")
    _css: ClassVar[str] = style("live", "arena")
    cards: traitlets.List[dict[str, Any]] = traitlets.List().tag(sync=True)
    """What each attack is, and its defences."""
    outcomes = traitlets.Dict().tag(sync=True)
    """By attack, what happened, the latest last."""
    switches = traitlets.Dict().tag(sync=True)
    """By attack, which defences are on."""
    running = traitlets.Unicode().tag(sync=True)
    """The attack that is being made; empty: none."""

    def __init__(self, attacks: tuple[Attack, ...]) -> None:
        self._attacks = {each.name: each for each in attacks}
        self._seen: dict[str, tuple[Outcome, ...]] = {}
        super().__init__(
            cards=[_card(each) for each in attacks], switches={each.name: each.switches() for each in attacks}
        )

    @property
    def names(self) -> tuple[str, ...]:
        """What attacks there are."""
        return tuple(self._attacks)

    def defences(self, attack: str) -> dict[str, str]:
        """Return the defences against an attack, and why each holds.

        Raises:
            NotFoundError: there is no such attack.
        """
        return {each.name: each.why for each in self._find(attack).defences}

    def run(self, attack: str, defences: "Mapping[str, bool] | None" = None) -> Outcome:
        """Make an attack and tell what happened.

        Args:
            attack: its name.
            defences: which to switch on or off; the others are as they usually are.

        Raises:
            NotFoundError: there is no such attack.
            InvalidError: no such defence against it.
            UnsupportedError: this machine lacks what the attack, or its outer bounds, need.
        """
        found = self._find(attack)
        self.switches = {**self.switches, attack: found.switches(defences)}
        self.running = attack
        try:
            outcome = found.run(the_engine(), defences)
        finally:
            self.running = ""
        self._seen[attack] = (*self._seen.get(attack, ()), outcome)[-_KEPT:]
        self.outcomes = {**self.outcomes, attack: [_told(each) for each in self._seen[attack]]}
        return outcome

    def figure(self) -> "Figure":
        """Return all attacks, and what happened the last time."""
        return draw(tuple(self._attacks.values()), {name: seen[-1] for name, seen in self._seen.items()})

    def do_run(self, attack: str, defences: dict[str, bool]) -> None:
        """Make an attack with the defences as they are switched."""
        try:
            self.run(attack, defences)
        except EngineError as exc:
            self.outcomes = {**self.outcomes, attack: [{"complaint": str(exc)}]}
            raise

    def _find(self, attack: str) -> Attack:
        if attack not in self._attacks:
            raise NotFoundError(f"there is no attack {attack!r}", hint=f"there is {', '.join(self._attacks)}")
        return self._attacks[attack]


def _card(attack: Attack) -> dict[str, Any]:
    return {
        "name": attack.name,
        "tries": attack.tries,
        "see": attack.see,
        "defences": [{"name": each.name, "why": each.why, "usual": each.is_usual} for each in attack.defences],
    }


def _told(outcome: Outcome) -> dict[str, Any]:
    return {
        "succeeded": outcome.succeeded,
        "defences": outcome.defences,
        "output": outcome.output,
        "code": outcome.exit_code,
        "late": outcome.ran.is_late,
        "evidence": outcome.evidence,
        "why": outcome.why,
        "took_s": round(outcome.ran.took_s, 2),
    }


def widget(names: tuple[str, ...]) -> ArenaWidget:
    """Return an arena with these attacks, or with all.

    Raises:
        NotFoundError: there is no attack of that name.
    """
    known = {each.name: each for each in ATTACKS}
    unknown = [name for name in names if name not in known]
    if unknown:
        raise NotFoundError(f"there is no attack {unknown[0]!r}", hint=f"there is {', '.join(known)}")
    return ArenaWidget(tuple(known[name] for name in names or known))
