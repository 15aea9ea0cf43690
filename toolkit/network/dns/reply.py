"""A question, and what is known of names: the answer to it, or that others must be asked.  Pure.

What a name means is known here alone, so what is said of it is final: a name
that there is has no other records than addresses (NOERROR, and nothing), and an
address of the network that nobody has has no name (NXDOMAIN).  All other
names are for others to know.
"""

from typing import NamedTuple

from toolkit.core.errors import InvalidError
from toolkit.network.dns import message
from toolkit.network.dns.message import Question
from toolkit.network.dns.names import Names, reversed_address
from toolkit.network.subnet import parse_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from toolkit.network.dns.names import IsHere

    Shuffle = Callable[[tuple[str, ...]], Sequence[str]]

_FAMILIES = {message.A: (4,), message.AAAA: (6,), message.ANY: (4, 6)}
TTL_S = 0
"""Nobody may keep an answer: the next container may have the address in a moment.  Docker says 600."""


class Forward(NamedTuple):
    """Others must be asked."""

    servers: tuple[str, ...]
    """Those that the container has chosen; empty: this machine's."""


class Decider(NamedTuple):
    """What is known to who answers one container."""

    owner: str
    names: Names
    is_here: "IsHere"
    shuffle: "Shuffle"


def decide(question: Question, who: Decider, most_bytes: int) -> bytes | Forward:
    """Return the answer to a question, or who else is to be asked.

    Args:
        question: of a container.
        who: which one, and what it can know.
        most_bytes: how long the answer may be.
    """
    if question.opcode != message.QUERY:
        return message.answer(question, code=message.NOTIMP)
    if question.edns_version > 0:
        return message.answer(question, code=message.BADVERS)
    if question.family not in (message.IN, message.ANY):
        return message.answer(question, code=message.REFUSED)
    known = _known(question, who, most_bytes)
    if known is not None:
        return known
    servers = who.names.forwarders(who.owner)
    if not servers and not who.names.has_way_out(who.owner):
        # What this machine asks for a container in an internal network would be a way out of it (CVE-2024-29018).
        return message.answer(question, code=message.SERVFAIL)
    return Forward(servers)


def _known(question: Question, who: Decider, most_bytes: int) -> bytes | None:
    found = who.names.find(who.owner, question.name, _FAMILIES.get(question.kind, ()), who.is_here)
    if found is not None:
        records = [_record(address) for address in who.shuffle(found.addresses)]
        return message.answer(question, records, ttl_s=TTL_S, most_bytes=most_bytes)
    address = reversed_address(question.name)
    name = None if address is None else who.names.find_address(who.owner, address, who.is_here)
    if name is None:
        return None
    return _pointer(question, name, most_bytes) if name else message.answer(question, code=message.NXDOMAIN)


def _record(text: str) -> tuple[int, bytes]:
    address = parse_address(text)
    kind, length = (message.A, 4) if address.family == 4 else (message.AAAA, 16)
    return kind, address.number.to_bytes(length)


def _pointer(question: Question, name: str, most_bytes: int) -> bytes:
    if question.kind not in (message.PTR, message.ANY):
        return message.answer(question)
    try:
        content = message.encode_name(name)
    except InvalidError:  # a container may have a name that is too long for this
        return message.answer(question)
    return message.answer(question, [(message.PTR, content)], ttl_s=TTL_S, most_bytes=most_bytes)
