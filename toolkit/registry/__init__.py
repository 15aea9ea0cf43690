"""Images over the network: the distribution client, and a registry server of our own.

The client speaks the OCI distribution specification 1.1, which is also
Docker's registry protocol, version 2.  Start with `client.pull` and
`client.push`; `server.serve` is the other end of the same protocol.

Invariants:
- No token and no password is ever part of a message, an event or a `repr`.
- No byte that came over the network is used before its digest was checked.
- Each HTTP exchange is one event (`toolkit.trace`) of the area "http".
"""
