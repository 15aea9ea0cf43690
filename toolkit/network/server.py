"""The network process: alone in speaking netlink and nftables for one engine.

It holds no state that is not in the engine's database or in the kernel, so it
can be killed at any moment: the next one reads both and makes them agree.  What
it holds is ports, by sockets; the next one takes them again.

It learns of the end of a container by the end of its run directory, whoever
has taken that away: nobody needs to tell it, and nobody waits for it.

See Also:
    `toolkit.network.resident`, which starts it
"""

import gc
import os
import select
import sys
from typing import Any

from toolkit.core.errors import EngineError, NotFoundError, UnsupportedError
from toolkit.core.state import State
from toolkit.linux import inotify, nftables, sock
from toolkit.network import bridge, macvlan, mark, model, netlink, overlay, rules, wire
from toolkit.network.binding import PortBinding
from toolkit.network.dns.keeper import Keeper
from toolkit.network.dns.names import has_names
from toolkit.network.ports import Ports
from toolkit.network.store import Store
from toolkit.trace import Recorder, recording

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.network.model import Endpoint, Network

IDLE_S = 600
_PAUSE_MS = 1000
_MOST_CONNECTIONS = 512


class Server:
    """The loop, and what is held between two requests."""

    def __init__(self, listener: sock.Socket, path: str, database: str, running: str) -> None:
        """Make kernel and database agree; what stands in the way is told to those who ask."""
        self._listener = listener
        self._path = path
        self._place = _inode(path)
        self._running = running
        self._watch = inotify.Watch(running, inotify.IN_DELETE)
        self._database = database
        self._state = State(database)
        self._store = Store(self._state, self._is_alive)
        self._ports = Ports()
        self._published: dict[tuple[str, str], list[tuple[str, PortBinding]]] = {}
        self._made: dict[str, int] = {}
        self._handle = 0
        self._poll = select.poll()
        self._poll.register(listener.fileno(), select.POLLIN)
        self._poll.register(self._watch.fileno(), select.POLLIN)
        run_dir, name = os.path.split(path)
        self._keeper = Keeper(run_dir, (database, running), name, self._poll)
        self._obstacle: EngineError | None = None
        self._begin()

    def _begin(self) -> None:
        try:
            self._mark = mark.own(self._store.identity, self._database)
            self._table = rules.table_name(self._mark.engine)
            self._kernel = netlink.Route()
            self._nft = nftables.Nft()
            bridge.remove_strange(self._kernel, self._mark, {each.id for each in self._store.networks()})
            self._inherit()
            self._agree()
        except EngineError as exc:
            self._obstacle = exc

    def _inherit(self) -> None:
        """Take away what engines have left that are no more: the bridges last, for they tell of the rest."""
        for engine, bridges in bridge.orphans(self._kernel, self._mark).items():
            self._nft.run(rules.delete(rules.table_name(engine)))
            for link in bridges:
                self._kernel.do(netlink.delete_link(link.number))

    def _agree(self) -> None:
        """Take the ports of those who live, and have the table say what the database says."""
        self._store.purge()
        for endpoint in self._store.all_endpoints():
            kept = [binding for binding in endpoint.ports if binding.host_port and self._ports.take_again(binding)]
            leads = [(address, binding) for binding in kept for address in _targets(endpoint, binding)]
            self._published[endpoint.network, endpoint.owner] = leads
        self._write_table()
        self._keeper.find_lost(self._store.networks(), self._store.all_endpoints(), self._running)

    def _write_table(self) -> None:
        """Have the table be what bridges and published ports call for; none where there is no bridge."""
        networks = [each for each in self._store.networks() if each.driver in model.WITH_BRIDGE]
        there = [each for each in networks if self._kernel.find(each.link) is not None]
        ports = [(f"{address}", binding) for leads in self._published.values() for address, binding in leads]
        self._made.clear()
        self._nft.run(rules.whole(self._table, there, ports) if there else rules.delete(self._table))
        self._handle = nftables.table_handle(self._table)
        for network in there:
            self._made[network.id] = bridge.ensure(self._kernel, self._mark, network)[0]

    def _heal(self) -> None:
        """Write the table again where somebody has taken it away, or put another in its place."""
        if self._made and nftables.table_handle(self._table) != self._handle:
            self._write_table()

    def _is_alive(self, owner: str) -> bool:
        return os.path.isdir(f"{self._running}/{owner}")

    def serve(self) -> None:
        """Answer until there is no more need."""
        gc.collect()
        gc.freeze()
        waiting: dict[int, sock.Socket] = {}
        while self._place == _inode(self._path) != 0:
            is_missing = self._keeper.is_missing()
            ready = self._poll.poll(_PAUSE_MS if is_missing else IDLE_S * 1000)
            self._bury()  # first: what the dead have had may be just what the next one asks for
            if is_missing:
                self._keeper.try_again()
            elif not ready and not waiting and next(self._store.all_endpoints(), None) is None:
                return
            for fd, _events in ready:
                if fd == self._listener.fileno():
                    self._accept(waiting)
                elif fd == self._keeper.fileno():
                    self._keeper.hear()
                elif fd in waiting:
                    self._poll.unregister(fd)
                    self._answer(waiting.pop(fd))

    def _accept(self, waiting: dict[int, sock.Socket]) -> None:
        while len(waiting) < _MOST_CONNECTIONS:
            try:
                connection = sock.accept(self._listener, sock.SOCK_SEQPACKET)
            except OSError:
                return  # nobody more, or whoever it was has gone
            waiting[connection.fileno()] = connection
            self._poll.register(connection.fileno(), select.POLLIN)

    def _answer(self, connection: sock.Socket) -> None:
        message, fds = wire.receive(connection)
        try:
            if message is not None:
                wire.send(connection, self._reply(message, fds[0] if fds else -1))
        except (BrokenPipeError, ConnectionResetError):
            pass  # whoever asked has been killed; what it asked for is its owner's, who is dead or will be
        finally:
            for fd in fds:
                os.close(fd)
            connection.close()

    def _reply(self, message: wire.Message, netns_fd: int) -> wire.Message:
        with recording(Recorder("network")) as recorder:
            try:
                reply: wire.Message = {"ok": self._do(message, netns_fd)}
            except EngineError as exc:
                reply = {"failed": wire.failure(exc)}
            except Exception as exc:  # noqa: BLE001 - the process goes on; a bug goes to its log, and to whoever asked
                sys.excepthook(type(exc), exc, exc.__traceback__)
                reply = {"failed": wire.failure(exc)}
        if message.get("trace"):
            reply["events"] = [list(event) for event in recorder.events]
        return reply

    def _do(self, message: wire.Message, netns_fd: int) -> Any:
        if self._obstacle is not None:
            self._obstacle = None
            self._begin()  # what stood in the way may be gone
        if self._obstacle is not None:
            raise self._obstacle
        self._heal()
        deeds = {
            "hello": self._hello,
            "create": self._create,
            "remove": self._remove,
            "connect": self._connect,
            "disconnect": self._disconnect,
            "publish": self._change_ports,
        }
        return deeds[message["op"]](message, netns_fd)

    def _hello(self, _message: wire.Message, _netns_fd: int) -> Any:
        """Try what every network takes: a bridge, and the right to pass packets on."""
        network = self._store.find_name(model.DEFAULT)
        if network is not None:
            self._ensure(network)
        complaint = bridge.forward(has_ipv6=network is not None and network.has_ipv6)
        return {"warnings": [complaint] if complaint else []}

    def _create(self, message: wire.Message, _netns_fd: int) -> Any:
        network = self._store.get(message["network"])
        if network.driver == model.MACVLAN:
            macvlan.parent(self._kernel, network)  # it must be there
            return {"warnings": []}
        self._ensure(network)
        complaint = "" if not network.leads_out else bridge.forward(has_ipv6=network.has_ipv6)
        return {"warnings": [complaint] if complaint else []}

    def _ensure(self, network: "Network") -> int:
        """Have a network's bridge and rules be there, also where somebody has taken the bridge away."""
        if network.driver not in model.WITH_BRIDGE:
            raise UnsupportedError(f"network driver {network.driver} makes no bridge")
        index, is_new = bridge.ensure(self._kernel, self._mark, network)
        if not self._made:
            self._write_table()
        if is_new or self._made.get(network.id) != index:
            self._nft.run(rules.add_network(self._table, network))
            self._made[network.id] = index
            bridge.plug_again(self._kernel, index, list(self._store.endpoints(network.id)))
        if network.driver == model.OVERLAY:
            overlay.ensure(self._kernel, self._mark, network, index)
        return index

    def _remove(self, message: wire.Message, _netns_fd: int) -> Any:
        network = model.from_document(message["network"])
        if network.driver == model.OVERLAY:
            overlay.remove(self._kernel, self._mark, network)
        bridge.remove(self._kernel, self._mark, network)
        if self._made.pop(network.id, None) is not None:
            self._nft.run(rules.remove_network(self._table, network) if self._made else rules.delete(self._table))
        return {}

    def _connect(self, message: wire.Message, netns_fd: int) -> Any:
        network, endpoint = self._who(message)
        if network.driver == model.MACVLAN:
            self._keeper.serve(endpoint.owner, netns_fd)
            macvlan.connect(self._kernel, network, endpoint, netns_fd)
            return {}
        index = self._ensure(network)
        self._unpublish(network.id, endpoint.owner)
        ports = self._take_ports(endpoint)
        try:
            if has_names(network):
                self._keeper.serve(endpoint.owner, netns_fd)
            bridge.connect(self._kernel, index, network, endpoint, netns_fd)
            self._publish(endpoint, ports)
        except BaseException:
            for binding in ports:
                self._ports.release(binding)
            raise
        if ports:
            self._store.set_ports(endpoint, ports)
        return {}

    def _who(self, message: wire.Message) -> "tuple[Network, Endpoint]":
        network = self._store.get(message["network"])
        endpoint = self._store.find(network.id, message["owner"])
        if endpoint is None:
            raise NotFoundError(f"container {message['owner'][:12]} is not in network {network.name}")
        return network, endpoint

    def _take_ports(self, endpoint: "Endpoint") -> "tuple[PortBinding, ...]":
        taken: list[PortBinding] = []
        try:
            for binding in endpoint.ports:
                taken.append(self._ports.take(binding))  # noqa: PERF401 - what was taken before one fails is let go
        except BaseException:
            for binding in taken:
                self._ports.release(binding)
            raise
        return tuple(taken)

    def _publish(self, endpoint: "Endpoint", ports: "tuple[PortBinding, ...]") -> None:
        leads = [(address, binding) for binding in ports for address in _targets(endpoint, binding)]
        if leads:
            self._nft.run("".join(rules.add_port(self._table, *lead) for lead in leads))
        if ports:
            self._published[endpoint.network, endpoint.owner] = leads

    def _unpublish(self, network_id: str, owner: str) -> None:
        leads = self._published.pop((network_id, owner), [])
        if leads:
            self._nft.run("".join(rules.remove_port(self._table, *lead) for lead in leads))
        for _address, binding in leads:
            self._ports.release(binding)

    def _change_ports(self, message: wire.Message, _netns_fd: int) -> Any:
        """Publish more of an owner's ports, and others no longer: all of it in one transaction, or nothing."""
        network, endpoint = self._who(message)
        self._ensure(network)  # of one without a bridge no port can be published
        gone = [PortBinding(*each) for each in message["gone"]]
        new = self._take_ports(endpoint._replace(ports=tuple(PortBinding(*each) for each in message["new"])))
        try:
            leads = self._published.get((network.id, endpoint.owner), [])
            leaving = [lead for lead in leads if lead[1] in gone]
            coming = [(address, binding) for binding in new for address in _targets(endpoint, binding)]
            lines = [rules.remove_port(self._table, *lead) for lead in leaving]
            self._nft.run("".join([*lines, *(rules.add_port(self._table, *lead) for lead in coming)]))
            if new:
                bridge.turn_back(self._kernel, network, endpoint)
        except BaseException:
            for binding in new:
                self._ports.release(binding)
            raise
        self._published[network.id, endpoint.owner] = [*(lead for lead in leads if lead not in leaving), *coming]
        for binding in gone:
            self._ports.release(binding)
        self._store.set_ports(endpoint, (*(each for each in endpoint.ports if each not in gone), *new))
        return {}

    def _disconnect(self, message: wire.Message, netns_fd: int) -> Any:
        endpoint = self._store.find(message["network"], message["owner"])
        if endpoint is None:
            return {}  # it was done by one that was killed before it could say so
        self._unpublish(endpoint.network, endpoint.owner)
        if netns_fd >= 0:
            bridge.disconnect(endpoint, netns_fd, tuple(message["gateways"]))
        self._store.release(endpoint.owner, endpoint.network)
        return {}

    def _bury(self) -> None:
        """Take back what those have had whose run directories are gone."""
        for owner in self._watch.names():
            if self._is_alive(owner):
                continue  # it has begun again
            self._heal()
            for network_id in [network_id for network_id, each in self._published if each == owner]:
                self._unpublish(network_id, owner)
            self._store.release(owner, only_dead=True)


def _targets(endpoint: "Endpoint", binding: "PortBinding") -> list[str]:
    """Return the addresses that a published port leads to: of the families that the side outside has."""
    families = (6,) if ":" in binding.host_ip else (4,) if binding.host_ip and binding.host_ip != "::" else (4, 6)
    if binding.host_ip == "::":
        families = (6,)
    return [address for family in families if (address := endpoint.address(family))]


def _inode(path: str) -> int:
    try:
        return os.stat(path).st_ino
    except FileNotFoundError:
        return 0
