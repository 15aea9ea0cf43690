"""The text of our nftables table: the only rules that the engine has, and all of them.

Each engine has one table.  What differs between networks and ports are
elements of its maps, so a change is one transaction of a few lines whatever
the number of networks; what runs is not disturbed by it.

    ports4, ports6           protocol . port                -> address . port, for all addresses of this machine
    bound4, bound6           address . protocol . port      -> address . port, for one of them
    into, outof              a bridge                       -> what may come into its network, and leave it
    translated               a bridge                       -> what gets this machine's address on its way
    bridges                  the bridges

Chains of the kind `forward` only ever drop what goes to or comes from our own
bridges.  To accept a packet in one table is not to keep another from dropping
it (nft(8), verdicts): published ports obey the firewall of this machine.

See Also:
    nft(8)
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from toolkit.network.binding import PortBinding
    from toolkit.network.model import Network

FAMILY = "inet"
_EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - what users write to mean it


def table_name(identity: str) -> str:
    """Return the name of an engine's table."""
    return f"container-toolkit-{identity}"


def whole(table: str, networks: "Iterable[Network]", ports: "Iterable[tuple[str, PortBinding]]") -> str:
    """Return the transaction that makes the table be just this, whatever it was before.

    Args:
        table: its name.
        networks: the networks of bridges.
        ports: address and binding of each published port.
    """
    # Made first, so that there is something to delete: a table that is made anew in one transaction has no moment
    # at which it is not there.
    parts = [f"table {FAMILY} {table}\ndelete table {FAMILY} {table}\n", _SKELETON.replace("@TABLE@", table)]
    parts += [add_network(table, network) for network in networks]
    parts += [add_port(table, address, binding) for address, binding in ports]
    return "".join(parts)


def delete(table: str) -> str:
    """Return the transaction that takes the table away, if it is there."""
    return f"table {FAMILY} {table}\ndelete table {FAMILY} {table}\n"


def add_network(table: str, network: "Network") -> str:
    """Return what makes a network's packets be let through, kept apart and masqueraded."""
    where, ident, link = f"{FAMILY} {table}", network.id[:12], network.link
    lines = [f"add chain {where} into-{ident}", f"add chain {where} outof-{ident}"]
    lines += [f"flush chain {where} into-{ident}", f"flush chain {where} outof-{ident}"]
    lines.append(f'add rule {where} into-{ident} iifname "{link}" {"accept" if network.allows_talk else "drop"}')
    if not network.leads_out:
        lines.append(f'add rule {where} outof-{ident} oifname != "{link}" drop')
    else:
        lines.append(f"add rule {where} into-{ident} ct state established,related accept")
        lines.append(f"add rule {where} into-{ident} ct status dnat accept")
    lines.append(f"add rule {where} into-{ident} drop")
    lines.append(f'add element {where} into {{ "{link}" : jump into-{ident} }}')
    lines.append(f'add element {where} outof {{ "{link}" : jump outof-{ident} }}')
    lines.append(f'add element {where} bridges {{ "{link}" }}')
    return "\n".join([*lines, *_translate(where, network)]) + "\n"


def _translate(where: str, network: "Network") -> list[str]:
    """Return what gives packets that leave a network this machine's address."""
    ident, link = network.id[:12], network.link
    lines = [f"add chain {where} nat-{ident}", f"flush chain {where} nat-{ident}"]
    for pool in network.pools:
        # From one to another, or to itself, by a published port: the answer must come back by way of this machine.
        family = "ip6" if pool.subnet.family == 6 else "ip"
        by_port = f'oifname "{link}" ct status dnat {family} saddr {pool.subnet}'
        lines.append(f"add rule {where} nat-{ident} {by_port} masquerade")
    if network.masquerades:
        lines.append(f'add rule {where} nat-{ident} iifname "{link}" oifname != "{link}" masquerade')
    return [*lines, f'add element {where} translated {{ "{link}" : jump nat-{ident} }}']


def remove_network(table: str, network: "Network") -> str:
    """Return what undoes `add_network`; all of it must be there."""
    where, ident, link = f"{FAMILY} {table}", network.id[:12], network.link
    names = ("into", "outof", "translated", "bridges")
    lines = [f'delete element {where} {name} {{ "{link}" }}' for name in names]
    for chain in ("into", "outof", "nat"):
        lines += [f"flush chain {where} {chain}-{ident}", f"delete chain {where} {chain}-{ident}"]
    return "\n".join(lines) + "\n"


def add_port(table: str, address: str, binding: "PortBinding") -> str:
    """Return what has a port of this machine lead to one of an address."""
    return _port("add", table, address, binding)


def remove_port(table: str, address: str, binding: "PortBinding") -> str:
    """Return what undoes `add_port`; it must be there."""
    return _port("delete", table, address, binding)


def _port(deed: str, table: str, address: str, binding: "PortBinding") -> str:
    family = 6 if ":" in address else 4
    key = f"{binding.protocol} . {binding.host_port}"
    name = "ports"
    if binding.host_ip not in _EVERYWHERE:
        key, name = f"{binding.host_ip} . {key}", "bound"
    return f"{deed} element {FAMILY} {table} {name}{family} {{ {key} : {address} . {binding.container_port} }}\n"


_SKELETON = """table inet @TABLE@ {
    map ports4 { type inet_proto . inet_service : ipv4_addr . inet_service; }
    map ports6 { type inet_proto . inet_service : ipv6_addr . inet_service; }
    map bound4 { type ipv4_addr . inet_proto . inet_service : ipv4_addr . inet_service; }
    map bound6 { type ipv6_addr . inet_proto . inet_service : ipv6_addr . inet_service; }
    map translated { type ifname : verdict; }
    map into { type ifname : verdict; }
    map outof { type ifname : verdict; }
    set bridges { type ifname; }
    chain raw {
        comment "nobody in a network reaches what listens on this machine's loopback alone"
        type filter hook prerouting priority raw; policy accept;
        iifname @bridges ip daddr 127.0.0.0/8 drop
    }
    chain published {
        dnat ip to ip daddr . meta l4proto . th dport map @bound4
        dnat ip6 to ip6 daddr . meta l4proto . th dport map @bound6
        fib daddr type local dnat ip to meta l4proto . th dport map @ports4
        fib daddr type local ip6 daddr != ::1 dnat ip6 to meta l4proto . th dport map @ports6
    }
    chain prerouting {
        type nat hook prerouting priority dstnat; policy accept;
        jump published
    }
    chain output {
        type nat hook output priority -100; policy accept;
        jump published
    }
    chain postrouting {
        type nat hook postrouting priority srcnat; policy accept;
        ip saddr 127.0.0.0/8 oifname @bridges masquerade
        oifname vmap @translated
        iifname vmap @translated
    }
    chain forward {
        type filter hook forward priority filter; policy accept;
        iifname vmap @outof
        oifname vmap @into
    }
}
"""
