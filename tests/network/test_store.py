"""Networks and addresses in the engine's state, also when many want them at once and some are killed."""

import os
import signal
from collections.abc import Iterator
from contextlib import closing

import pytest

from tests.support.child import in_child
from toolkit.core.errors import ConflictError, NotFoundError
from toolkit.core.state import State
from toolkit.network import ipam, model
from toolkit.network.store import Store
from toolkit.network.subnet import parse_subnet

_ID = "a" * 64


def network(subnet: str = "10.1.0.0/24", ident: str = _ID, name: str = "front") -> model.Network:
    return model.Network(ident, name, "", pools=(ipam.pool(parse_subnet(subnet)),), link="ct-x")


class Owners:
    """Who lives."""

    def __init__(self) -> None:
        self.dead: set[str] = set()

    def __call__(self, owner: str) -> bool:
        return owner not in self.dead


@pytest.fixture
def owners() -> Owners:
    return Owners()


@pytest.fixture
def path(tmp_path: "os.PathLike[str]") -> str:
    return f"{tmp_path}/state.db"


@pytest.fixture
def store(path: str, owners: Owners) -> Iterator[Store]:
    state = State(path)
    yield Store(state, owners)
    state.close()


def address_of(store: Store, owner: str, **how: "object") -> str:
    made = store.allocate(network(), owner, name=f"n{owner}", link="eth0", **how)  # type: ignore[arg-type]  # as the tests say
    return made.address(4)


def test_network_is_found_by_name_id_and_prefix(store: Store) -> None:
    store.add(network())
    assert store.get("front") == store.get(_ID) == store.get("aaa") == network()


def test_name_of_a_network_is_given_once(store: Store) -> None:
    store.add(network())
    with pytest.raises(ConflictError, match="network with name front already exists"):
        store.add(network("10.2.0.0/24", "b" * 64))


def test_network_is_kept_as_it_is(store: Store) -> None:
    whole = network()._replace(
        pools=(ipam.pool(parse_subnet("10.1.0.0/24"), auxiliary={"a": "10.1.0.9"}), ipam.pool(ipam.unique_local("x"))),
        options={"a": "b"}, labels={"c": "d"}, is_internal=True,
    )  # fmt: skip
    store.add(whole)
    assert store.get("front") == whole


def test_addresses_go_on_in_a_row_after_one_was_given_back_and_after_a_restart(
    store: Store, path: str, owners: Owners
) -> None:
    store.add(network())
    assert [address_of(store, owner) for owner in "123"] == ["10.1.0.2", "10.1.0.3", "10.1.0.4"]
    store.release("2")
    with closing(State(path)) as state:
        assert address_of(Store(state, owners), "4") == "10.1.0.5"


def test_address_of_the_dead_is_given_away_when_there_is_no_other(store: Store, owners: Owners) -> None:
    store.add(network("10.1.0.0/29"))
    small = network("10.1.0.0/29")
    for owner in "12345":
        store.allocate(small, owner, name=owner, link="eth0")
    with pytest.raises(ConflictError, match="no available IPv4 addresses on this network's address pools: front"):
        store.allocate(small, "6", name="6", link="eth0")
    owners.dead.add("3")
    assert store.allocate(small, "6", name="6", link="eth0").address(4) == "10.1.0.4"
    assert store.find(_ID, "6") is not None


def test_who_starts_again_has_its_address_again(store: Store) -> None:
    store.add(network())
    first = address_of(store, "1")
    address_of(store, "2")
    assert address_of(store, "1") == first


def test_address_that_is_asked_for_is_given_once(store: Store, owners: Owners) -> None:
    store.add(network())
    assert address_of(store, "1", wanted=("10.1.0.77",)) == "10.1.0.77"
    with pytest.raises(ConflictError, match=r"Address already in use: 10\.1\.0\.77 is n1's"):
        address_of(store, "2", wanted=("10.1.0.77",))
    owners.dead.add("1")
    assert address_of(store, "2", wanted=("10.1.0.77",)) == "10.1.0.77"


def test_network_with_somebody_in_it_is_not_forgotten(store: Store, owners: Owners) -> None:
    store.add(network())
    address_of(store, "1")
    with pytest.raises(ConflictError, match=r"network front has active endpoints \(name:\"n1\""):
        store.remove(network())
    owners.dead.add("1")
    store.remove(network())
    with pytest.raises(NotFoundError, match="network front not found"):
        store.get("front")


def test_dead_leave_nothing_after_a_purge(store: Store, owners: Owners) -> None:
    store.add(network())
    address_of(store, "1")
    address_of(store, "2")
    owners.dead.add("1")
    store.purge()
    assert [one.owner for one in store.all_endpoints()] == ["2"]
    owners.dead.clear()
    assert store.find(_ID, "1") is None


def test_who_has_begun_again_keeps_what_it_has_when_its_death_becomes_known(store: Store) -> None:
    store.add(network())
    address_of(store, "1")
    store.release("1", only_dead=True)
    assert store.find(_ID, "1") is not None


def test_identity_of_an_engine_is_made_once(store: Store, path: str, owners: Owners) -> None:
    with closing(State(path)) as state:
        assert Store(state, owners).identity == store.identity


def test_no_address_is_given_twice_to_many_at_once_of_whom_some_are_killed(path: str) -> None:
    with closing(State(path)) as state:
        Store(state, lambda _owner: True).add(network("10.1.0.0/24"))
    processes, each = 6, 15

    def many(number: int) -> "list[str]":
        with closing(State(path)) as state:
            mine = Store(state, lambda _owner: True)
            return [address_of(mine, f"{number}-{count}") for count in range(each)]

    def killed_in_the_middle() -> None:
        with closing(State(path)) as state:
            mine = Store(state, lambda _owner: True)
            for count in range(each):
                address_of(mine, f"k-{count}")
                if count == 7:
                    os.kill(os.getpid(), signal.SIGKILL)

    pids: list[int] = []
    for number in range(processes):
        pid = os.fork()
        if pid == 0:
            try:
                killed_in_the_middle() if number == 0 else many(number)
            finally:
                os._exit(0)
        pids.append(pid)
    codes = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
    assert codes == [-signal.SIGKILL] + [0] * (processes - 1)

    def found() -> "list[str]":
        with closing(State(path)) as state:
            return [one.address(4) for one in Store(state, lambda _owner: True).all_endpoints()]

    addresses = in_child(found)
    assert len(addresses) == (processes - 1) * each + 8
    assert len(set(addresses)) == len(addresses)
