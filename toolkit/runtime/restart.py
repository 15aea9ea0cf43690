"""What a monitor does where its container has a restart policy: wait, and hand over to a successor.

The monitor, which is small, waits out the back-off with the lock of the run
directory in its hand.  Then it becomes the engine's own command, which starts
the container as anybody would and passes the same lock on to the next monitor:
at no moment is the container nobody's, and whatever is killed, the next command
finds a directory that nobody has locked.
"""

import os
import select
import time

from toolkit.core import clock
from toolkit.linux import namespace, sock
from toolkit.runtime.meeting import ATTACH_SOCKET, PAUSED_FILE, RESTART_FILE, STATUS_FILE, ExitRecord
from toolkit.runtime.policy import Policy, asked, decide, read, write, write_document

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.runtime.request import Request


def after(request: "Request", how: ExitRecord, *, is_wanted: bool = False) -> Policy | None:
    """Return the policy to go on with if the container that ended is to be started again, else None.

    Args:
        request: whose container it is.
        how: it ended.
        is_wanted: whatever the policy says, unless somebody has stopped it.
    """
    directory = os.path.dirname(request.exit_file)
    if not directory or not os.path.exists(f"{directory}/{RESTART_FILE}"):
        return None
    policy = read(directory)
    if policy is None:
        return None
    ran_s = (clock.parse_ns(how.finished_at) - clock.parse_ns(how.started_at)) / 1e9
    acting = policy._replace(name="always") if is_wanted else policy
    again = decide(acting, code=how.code, ran_s=ran_s, asked=asked(directory))
    return None if again is None else again._replace(name=policy.name)


def announce(request: "Request", how: ExitRecord, policy: Policy) -> bool:
    """Let everybody see that the container is waiting to be started again; tell whether that could be written."""
    try:
        write(os.path.dirname(request.exit_file), policy)
        status = {"pid": 0, "monitor": os.getpid(), "started_at": how.started_at}
        write_document(f"{request.run_dir}/{STATUS_FILE}", status)
    except OSError:
        return False  # a full disk, most likely: then it is left as it ended, which is written down already
    try:
        os.unlink(f"{request.run_dir}/{PAUSED_FILE}")
    except FileNotFoundError:
        pass  # the usual case
    return True


def wait_out(request: "Request", policy: Policy, listener: sock.Socket | None) -> bool:
    """Wait as long as the policy says; tell whether still nobody has asked to leave the container alone.

    Whoever asks connects to `listener`, having written down what for.
    """
    directory = os.path.dirname(request.exit_file)
    deadline_s = time.monotonic() + policy.delay_s
    poll = select.poll()
    if listener is not None:
        poll.register(listener.fileno(), select.POLLIN)
    while (left_s := deadline_s - time.monotonic()) > 0:
        if poll.poll(left_s * 1000) and listener is not None:
            _turn_away(listener)
        if not _goes_on(policy, asked(directory)):
            return False
    return _goes_on(policy, asked(directory))


def _goes_on(policy: Policy, word: str) -> bool:
    return not word or (word == "signal" and policy.name != "unless-stopped")


def _turn_away(listener: sock.Socket) -> None:
    try:
        sock.accept(listener).close()
    except OSError:
        time.sleep(0.01)  # no descriptors left, or the caller is gone: the next look tells


def succeed(request: "Request", policy: Policy, lock_fd: int) -> None:
    """Become the command that starts the container again; it gets the lock."""
    try:
        os.unlink(f"{request.run_dir}/{ATTACH_SOCKET}")
    except FileNotFoundError:
        pass
    namespace.bear_children_here()  # it may have to start a zygote
    os.set_inheritable(lock_fd, True)  # noqa: FBT003 - the standard library's own signature
    os.execv(policy.command[0], (*policy.command, str(lock_fd)))  # noqa: S606 - the engine's own command
