"""The processes that a zygote keeps in reserve, so that a start finds them warm.

    monitor   lives as long as the container: parent of its init, carrier of its
              output.  It does as little as possible, because every page that
              Python writes to (reference counts) becomes its own.
      starter   the monitor's child: takes the connection, makes pipes and files,
                sees the plan through, hands all over to the monitor and goes.
      worker    the starter's sibling, born in a new pid namespace, as most plans
                begin: it carries out the rest and becomes the program.

After a fork each page costs 3 us when it is first written to.  Starter and
worker pay that before anyone waits, by running their code once on an example.
A plan that begins otherwise has no use for the worker: then the starter does
the steps from outside, and the process that they make is its sibling, too.
"""

import json
import os
import select
import signal
import socket
from _socket import AF_UNIX, SOCK_SEQPACKET
from _socket import socketpair as raw_socketpair  # plain numbers, no enums: they would cost the monitor 100 KB
from typing import NoReturn

from toolkit.linux import namespace, process
from toolkit.runtime import channel, frames, monitor, starter, steps
from toolkit.runtime.context import NO_STDIO, Context
from toolkit.runtime.perform import Watcher, be_init
from toolkit.trace import Event, Recorder, recording
from toolkit.trace.recorder import set_current


def keep_ready(listener: socket.socket, token: int, zygote_lives: int) -> NoReturn:
    """Be a monitor and its starter, one of them waiting for a connection.

    Args:
        listener: where it comes from.
        token: closed by the starter as soon as it has one, so that the zygote makes the next pair.
        zygote_lives: readable when the zygote is gone; then nobody is waited for any more.
    """
    ours, theirs = raw_socketpair(AF_UNIX, SOCK_SEQPACKET)
    pid = os.fork()
    if pid == 0:
        _be_starter(listener, token, zygote_lives, socket.socket(fileno=theirs.detach()))
    os.dup2(ours.fileno(), monitor.STARTER_FD, inheritable=False)
    os.closerange(monitor.STARTER_FD + 1, monitor.STARTER_FD + 16)
    monitor.serve(pid)
    os._exit(0)


def _be_starter(listener: socket.socket, token: int, zygote_lives: int, to_monitor: socket.socket) -> NoReturn:
    process.set_parent_death_signal(signal.SIGKILL)
    worker = _make_worker((listener.fileno(), to_monitor.fileno(), token, zygote_lives))
    starter.rehearse()
    connection = _accept(listener, zygote_lives)
    os.close(token)
    os.close(zygote_lives)
    listener.close()
    starter.start(connection, worker, to_monitor)
    os._exit(0)


def _accept(listener: socket.socket, zygote_lives: int) -> socket.socket:
    poll = select.poll()
    poll.register(listener.fileno(), select.POLLIN)
    poll.register(zygote_lives, select.POLLIN)
    while True:
        ready = dict(poll.poll())
        if listener.fileno() in ready:
            try:
                return listener.accept()[0]
            except BlockingIOError:
                continue  # a newer pair has taken it
        os._exit(0)  # and the worker and the monitor with us


def _make_worker(not_its: tuple[int, ...]) -> starter.Worker:
    """Fork the worker: pid 1 of a new pid namespace, a sibling."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with recording(Recorder(steps.OUTSIDE)) as recorder:
        recorder.step = 0
        pid, pidfd = namespace.clone3(namespace.CLONE_NEWPID | namespace.CLONE_PARENT)
    if pid == 0:
        set_current(None)
        ours.close()
        for fd in not_its:
            os.close(fd)
        process.set_parent_death_signal(signal.SIGKILL)
        _work(theirs)
    theirs.close()
    return starter.Worker(pid, pidfd, ours, recorder.events)


def _work(report: socket.socket) -> NoReturn:
    """Be the worker: get warm, wait for the order, read the plan, carry it out."""
    starter.rehearse()
    order, fds = channel.receive(report)
    if order is None:
        os._exit(0)
    connection = socket.socket(fileno=fds[0])
    stdio = NO_STDIO if order["tty"] else (fds[1], fds[2], fds[3])
    if order["trace"] is not None:
        recorder = Recorder(steps.INIT)
        recorder.events = [Event.from_json(fields) for fields in order["trace"]]
        set_current(recorder)
    received = frames.read_exactly_one(connection)
    if received is None:
        os._exit(1)
    plan = steps.from_json(json.loads(received[1])["plan"])
    be_init(plan, 1, Context(steps.INIT, report, stdio), Watcher(connection, is_gated=False))
