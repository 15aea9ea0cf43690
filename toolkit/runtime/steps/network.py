"""The step that gives a container a place in a network: it asks the process that makes networks."""

import os

from toolkit.core import document
from toolkit.core.errors import StartError
from toolkit.core.record import NamedTuple
from toolkit.linux import sock
from toolkit.linux.flags import quoted
from toolkit.runtime import channel
from toolkit.runtime.steps.base import INIT, step
from toolkit.trace import Event, span
from toolkit.trace.recorder import current

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.runtime.context import Context

_MAX_ANSWER = 128 * 1024
_LOST = "the network process was killed while it connected the container"


@step(
    INIT,
    "network",
    why="Another process speaks netlink: it lays a cable (veth) whose one end is born in this new network namespace.",
    see="veth(4), rtnetlink(7), network_namespaces(7)",
)
class ConnectNetwork(NamedTuple):
    """Have the network process connect this network namespace to a network."""

    directory: str
    socket: str
    """The name of the process's socket in it."""
    network: str
    """The network's id."""
    owner: str
    """The container's id: what it is to have is in the engine's state."""
    shown: str
    """Network, link and addresses, for a reader."""
    actor: str = ""
    """OUTSIDE where init may not reach the socket, because it is in a user namespace, or another runtime's."""

    def calls(self) -> tuple[str, ...]:
        path = quoted(f"{self.directory}/{self.socket}")
        return (
            f"connect(FD, {{sa_family=AF_UNIX, sun_path={path}}}, 110)",
            f"sendmsg(FD, {{connect {self.shown}, SCM_RIGHTS [/proc/self/ns/net]}}, 0)",
            "recvmsg(FD, {ok}, 0)",
        )

    def apply(self, context: "Context") -> None:
        who = f"{context.pid}" if self.actor else "self"
        namespace = os.open(f"/proc/{who}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        try:
            answer = self._ask(namespace)
        finally:
            os.close(namespace)
        if answer is None:
            raise StartError(_LOST, hint="try again")
        recorder = current()
        if recorder is not None:
            for fields in answer.get("events", ()):
                recorder.add(Event._make(fields)._replace(step=recorder.step))
        if "failed" in answer:
            raise channel.error_of(answer["failed"])

    def _ask(self, namespace: int) -> "channel.Message | None":
        message = {"op": "connect", "network": self.network, "owner": self.owner, "trace": current() is not None}
        connect, send, receive = self.calls()
        asker = sock.unix(sock.SOCK_SEQPACKET)
        directory = os.open(self.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            try:
                with span("network.connect", connect):
                    asker.connect(f"/proc/self/fd/{directory}/{self.socket}")
                with span("network.ask", send):
                    sock.send(asker, [document.encode(message)], (namespace,))
                with span("network.ask", receive):
                    data, _fds = sock.receive(asker, _MAX_ANSWER, 1)
            except OSError:
                return None
            return document.decode(data) if data else None
        finally:
            os.close(directory)
            asker.close()
