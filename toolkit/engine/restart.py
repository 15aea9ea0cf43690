"""Restart policies, from the engine's side: what a monitor finds written, and starting again what should run.

The deciding and waiting is the monitor's: see `toolkit.runtime.restart`.
"""

import contextlib
import os
import sys

from toolkit.core.errors import EngineError, InvalidError, NotFoundError
from toolkit.engine import status
from toolkit.runtime import policy
from toolkit.runtime.meeting import ASKED_FILE, RESTART_FILE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from toolkit.engine.container import Container
    from toolkit.engine.engine import Engine
    from toolkit.engine.options import ContainerOptions

POLICIES = ("no", "always", "on-failure", "unless-stopped")


def check(options: "ContainerOptions") -> None:
    """Refuse a policy that means nothing, in docker's words.

    Raises:
        InvalidError: with the cure.
    """
    name, retries = options.restart_policy, options.restart_retries
    if name and name not in POLICIES:
        known = "'no', 'always', 'on-failure', or 'unless-stopped'"
        raise InvalidError(f"invalid restart policy: unknown policy '{name}'; use one of {known}")
    if retries and name != "on-failure":
        hint = "give a count to on-failure only"
        raise InvalidError("invalid restart policy: maximum retry count can only be used with 'on-failure'", hint=hint)
    if retries < 0:
        raise InvalidError("invalid restart policy: maximum retry count cannot be negative", hint="leave the count out")
    if name not in ("", "no") and options.auto_remove:
        raise InvalidError("conflicting options: cannot specify both --restart and --rm", hint="leave one of them out")


def begin(one: "Container") -> None:
    """Write down what the monitor must know at the end of a container that somebody starts by hand."""
    options = one.doc["options"]
    name = options.get("restart_policy", "") or "no"
    is_needed = name != "no" or options.get("health_on_failure") == "restart"
    if not is_needed and not os.path.isdir(one.directory):
        return
    for file in (ASKED_FILE, RESTART_FILE):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{one.directory}/{file}")
    if is_needed:
        os.makedirs(one.directory, 0o710, exist_ok=True)
        policy.write(one.directory, policy.Policy(name, options.get("restart_retries", 0), _successor(one)))


def change(one: "Container", name: str, retries: int) -> None:
    """Have a container that has been started obey another policy from now on; how often it was restarted stays."""
    if name in ("", "no"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(f"{one.directory}/{RESTART_FILE}")
    elif os.path.isdir(one.directory):
        before = policy.read(one.directory) or policy.Policy(name, retries, _successor(one))
        policy.write(one.directory, before._replace(name=name, max_retries=retries))


def _successor(one: "Container") -> tuple[str, ...]:
    paths = one.engine.paths
    source = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    program = (
        f"import sys; sys.path.insert(0, {source!r}); from toolkit.engine.restart import succeed; "
        f"succeed({paths.root!r}, {paths.run!r}, {one.id!r}, int(sys.argv[1]))"
    )
    return (sys.executable, "-I", "-S", "-c", program)


def succeed(root: str, run_dir: str, ident: str, lock_fd: int) -> None:
    """Start a container again, in the place of its last monitor: the whole life of the process that this one became."""
    from toolkit.engine.engine import Engine

    os.set_inheritable(lock_fd, False)  # noqa: FBT003 - the standard library's own signature
    with Engine.open(root, run_dir) as engine:
        if policy.asked(engine.paths.container(ident)) not in ("", "signal"):
            engine.recovery.let_go(ident, lock_fd)
            return
        before = status.find_exit(engine, ident)
        try:
            engine.containers.get(ident).start_again(lock_fd)
        except EngineError as exc:
            sys.stderr.write(f"restart of {ident}: {exc}\n")  # into the zygote's log
            engine.recovery.recover(ident)
            engine.recovery.restore_end(ident, before)


def count(one: "Container") -> int:
    """Return how often a container has been started again since somebody last started it by hand."""
    found = policy.read(one.directory)
    return found.restarts if found is not None else 0


def resume(engine: "Engine") -> "Iterator[Container | EngineError]":
    """Start, after a reboot, the containers that ought to run; yield each, or why it could not be started.

    As docker's daemon does when it comes up: always; unless-stopped where
    nobody had stopped it; on-failure where it failed.  One that was never
    started is left alone.
    """
    for one in reversed(engine.containers.list(all=True)):
        try:
            if _should_run(one):
                one.start()
                yield one
        except NotFoundError:
            continue  # somebody has removed it meanwhile
        except EngineError as exc:
            yield exc


def _should_run(one: "Container") -> bool:
    options, now = one.doc["options"], one.read_status()
    if now.exit is None or now.is_up:
        return False
    word, name = policy.asked(one.directory), options.get("restart_policy", "")
    return (
        name == "always"
        or (name == "unless-stopped" and not word)
        or (name == "on-failure" and word in ("", "signal") and now.exit.code != 0)
    )
