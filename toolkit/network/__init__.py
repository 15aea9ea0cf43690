"""Networks: who has which address, and the links, routes and rules that make it true.

Below the engine and beside the runtime: what is here takes a network namespace
by its descriptor and an owner by an opaque id, and knows no containers.

    subnet.py    addresses and subnets, pure
    model.py     what a network, an endpoint and a published port are
    ipam.py      which subnet and which address comes next, pure
    store.py     networks and endpoints in the engine's state
    rules.py     the text of our nftables table, pure
    netlink.py   messages to the kernel, with pyroute2's classes
    bridge.py    bridges, and cables between them and namespaces
    ports.py     ports of this machine: who has them, and holding them
    server.py    the resident process that alone does all this to the kernel
    client.py    how others reach it

See Also:
    adr/0027-networks-by-a-resident-process.md
"""
