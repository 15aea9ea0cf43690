"""Host and container side by side: the same commands, really run on both sides."""

from typing import Any, ClassVar

import traitlets

from toolkit.core.errors import ConflictError, EngineError, InvalidError
from toolkit.notebook.containers import seen_now
from toolkit.notebook.figures.sides import draw
from toolkit.notebook.looking import TOPICS, Look, Topic, look
from toolkit.notebook.widgets.base import style
from toolkit.notebook.widgets.live import MovingWidget, live_module

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.engine.container import Container as EngineContainer
    from toolkit.notebook.figures import Figure


class SidesWidget(MovingWidget):
    """See `toolkit.notebook.pictures.sides`."""

    _esm: ClassVar[str] = live_module("sides")
    _css: ClassVar[str] = style("live", "sides")
    topics: traitlets.List[list[str]] = traitlets.List().tag(sync=True)
    """Each topic's name, and what it means that a line is marked on both sides."""
    topic = traitlets.Int().tag(sync=True)
    """Which one is shown."""
    shown = traitlets.Dict().tag(sync=True)
    """What was found out last."""
    name = traitlets.Unicode().tag(sync=True)
    ended = traitlets.Bool().tag(sync=True)

    def __init__(self, container: "EngineContainer") -> None:
        self._container = container
        self._seen: tuple[int, object] | None = None
        super().__init__(topics=[[each.name, each.same] for each in TOPICS], name=container.name)

    def look(self, topic: str) -> Look:
        """Ask one question on both sides now: "processes", "mounts", "names", "network" or "disks".

        Raises:
            InvalidError: there is no such topic.
            ConflictError: the container does not run.
        """
        found = next((each for each in TOPICS if each.name == topic), None)
        if found is None:
            raise InvalidError(f"no such topic: {topic}", hint=f"one of {', '.join(each.name for each in TOPICS)}")
        return look(self._here(), found)

    def figure(self) -> "Figure":
        """Return the answers to all questions, asked now; nothing where it does not run."""
        try:
            container = self._here()
            return draw(container.name, [look(container, topic) for topic in TOPICS])
        except EngineError as exc:
            from toolkit.notebook.figures import Figure

            return Figure(f"<div>{exc}</div>", str(exc))

    def beat(self) -> float:
        """Ask again, where the answer may have changed; return what that cost."""
        topic = TOPICS[self.topic]
        try:
            container = self._here()
            self.name, self.ended = container.name, False
            return self._ask(container, topic)
        except ConflictError:
            self.ended, self._seen = True, None
            return 0.0

    def _ask(self, container: "EngineContainer", topic: Topic) -> float:
        now = topic.changes(container, container.pid) if topic.changes else None
        if topic.changes is not None and self._seen == (self.topic, now):
            return 0.0
        found = look(container, topic)
        # Taken anew: to ask has changed it.
        self._seen = (self.topic, topic.changes(container, container.pid) if topic.changes else None)
        self.shown = _told(found, TOPICS.index(topic))
        return found.cost_s

    def do_show(self, topic: int) -> None:
        """Show another topic."""
        if not 0 <= topic < len(TOPICS):
            raise InvalidError(f"no such topic: {topic}", hint=f"0 to {len(TOPICS) - 1}")
        self.topic, self._seen = topic, None
        self.beat()

    def _here(self) -> "EngineContainer":
        """Return the container for this thread.

        Raises:
            ConflictError: it has been removed.
        """
        found = seen_now(self._container)
        if found is None:
            raise ConflictError(f"container {self.name} has been removed", hint="start another one")
        return found


def _told(found: Look, topic: int) -> dict[str, Any]:
    return {
        "topic": topic,
        "command": found.command,
        "outside": {"lines": [list(line) for line in found.outside.lines], "note": found.outside.note},
        "inside": {"lines": [list(line) for line in found.inside.lines], "note": found.inside.note},
    }
