"""The name server that each container in a network of the user's has at 127.0.0.11, as docker's.

message.py    packets: reading a question, writing an answer; pure
names.py      what a name means to somebody: from endpoints to addresses; pure
reply.py      a question, and what is known: an answer, or that others must be asked; pure
upstream.py   asking others: several servers, time-outs, what is believed
client.py     one who asks: sockets in a container's namespace, connections
server.py     the process that answers: one for an engine
sockets.py    making the sockets, and the rules that lead port 53 to them
keeper.py     the network process's side: starts that process, keeps the sockets for its successor
resident.py   that process's first moments
"""
