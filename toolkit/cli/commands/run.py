"""`container run` and `container create`."""

import os
from contextlib import contextmanager

from toolkit.cli.command import Command
from toolkit.cli.detach import parse_keys
from toolkit.cli.flags import Parsed
from toolkit.cli.foreground import check_terminal, console_size, follow, killer
from toolkit.cli.run_flags import CREATE_FLAGS, LATER, RUN_FLAGS, container_options
from toolkit.cli.session import Outcome, Session
from toolkit.core.errors import EngineError, InvalidError, NotFoundError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Generator
    from typing import Any, TextIO

    from toolkit.engine import Attachment, Container
    from toolkit.engine.options import ContainerOptions
    from toolkit.trace.recorded import Recording

_NETWORK_NOTE = (
    "A container without --network is in the network bridge. Where this machine cannot have one (no root, no nftables) "
    "it has an isolated network in which there is nothing but loopback, and a warning says why."
)


def run(session: Session, parsed: Parsed) -> Outcome:
    """Make a container, start it, and stay with it until it ends unless --detach is given."""
    options = container_options(parsed)
    is_detached = parsed["detach"]
    keys = parse_keys(parsed["detach-keys"])
    if is_detached and options.attach:
        raise InvalidError("Conflicting options: -a and -d", hint="give one of them")
    streams = frozenset(options.attach or ("stdin", "stdout", "stderr"))
    has_stdin = options.open_stdin and "stdin" in streams
    if not is_detached:
        check_terminal(session, stdin=has_stdin, tty=options.tty)
    if parsed["dry-run"]:
        return _dry_run(session, parsed, options)
    container = create_container(session, parsed, options, will_start=True)
    if is_detached:
        _start(container)
        session.print(container.id)
        return Outcome(value=container)
    attachment = _start(
        container, attach=True, trace=parsed["explain"], console_size=console_size(session) if options.tty else None
    )
    if not streams & {"stdout", "stderr"}:
        session.print(container.id)
        session.stdout.flush()
    exit_code = follow(
        session,
        container,
        attachment,
        streams=streams if has_stdin else streams - {"stdin"},
        tty=options.tty,
        keys=keys,
        sig_proxy=parsed["sig-proxy"],
        interrupt=killer(container),
    )
    if parsed["explain"]:
        recording = _explained(session, parsed, exit_code, attachment)
        return Outcome(exit_code, container if parsed.get("record") is None else recording)
    return Outcome(exit_code, container)


def _explained(session: Session, parsed: Parsed, exit_code: int, attachment: "Attachment") -> "Recording":
    """Print, or keep, what was recorded while the container was made."""
    from toolkit.cli.explain import command_line, events_text, save
    from toolkit.engine.telling import tell
    from toolkit.trace.recorded import RUN, Recording, begin

    header = begin(RUN, command_line("explain run", parsed))
    made = Recording(header, tell(attachment.plan), tuple(attachment.events), {}, exit_code)
    path = parsed.get("record")
    if path:
        save(session, made, path)
    elif not session.shows_values or parsed.get("record") is None:
        session.complain(events_text(made.events, made.steps))
    return made


def create(session: Session, parsed: Parsed) -> Outcome:
    """Make a container and print its id."""
    container = create_container(session, parsed, container_options(parsed))
    session.print(container.id)
    return Outcome(value=container)


def create_container(
    session: Session, parsed: Parsed, options: "ContainerOptions", *, will_start: bool = False
) -> "Container":
    """Make a container of what the command line says, with its image brought here first where --pull says so."""
    with _id_file(parsed["cidfile"]) as file:
        _have_image(session, parsed, options)
        if parsed["replace"]:
            _remove_namesake(session, options)
        container = session.engine.containers.create(options, will_start=will_start)
        if file is not None:
            file.write(container.id)
    for warning in container.warnings:
        session.complain(f"WARNING: {warning}")
    return container


@contextmanager
def _id_file(path: str) -> "Generator[TextIO | None]":
    """Make the file for the container's id while there is no container yet; it goes again where none comes."""
    if not path:
        yield None
        return
    try:
        file = open(path, "x", encoding="utf-8")  # noqa: SIM115 - closed below
    except FileExistsError:
        message = f"container ID file found, make sure the other container isn't running or delete {path}"
        raise InvalidError(message) from None
    except OSError as exc:
        reason = (exc.strerror or "").lower()
        raise InvalidError(f"failed to create the container ID file {path}: {reason}", hint="name another") from exc
    try:
        with file:
            yield file
    except BaseException:
        os.unlink(path)
        raise


def _remove_namesake(session: Session, options: "ContainerOptions") -> None:
    """Remove the container that has the name, as podman's --replace does."""
    if not options.name:
        raise InvalidError("cannot replace a container without a name", hint="give one with --name")
    found = session.engine.containers.find_name(options.name)
    if found is not None:
        found.remove(force=True)


def _start(container: "Container", **how: "Any") -> "Any":
    """Start a new container; one with --rm that cannot be started goes at once."""
    try:
        return container.start(**how)
    except (EngineError, KeyboardInterrupt):
        if container.options.auto_remove:
            container.remove(force=True)
        raise


def _have_image(session: Session, parsed: Parsed, options: "ContainerOptions") -> None:
    """See to it that the image is here, as --pull says."""
    policy = parsed["pull"]
    if policy != "always":
        try:
            session.engine.images.get(options.image, None if parsed["quiet"] else session.complain)
        except NotFoundError:
            if policy == "never":
                raise
        else:
            return
        if not parsed["quiet"]:
            from toolkit.image.reference import parse_reference

            session.complain(f"Unable to find image '{parse_reference(options.image).familiar()}' locally")
    from toolkit.cli.commands.transfer import pull_image

    pull_image(session, options.image, platform=options.platform, is_quiet=parsed["quiet"], to_stderr=True)


def _dry_run(session: Session, parsed: Parsed, options: "ContainerOptions") -> Outcome:
    from toolkit.cli.explain import show_plan
    from toolkit.engine.telling import tell

    _have_image(session, parsed, options)
    container = session.engine.containers.create(options, makes_volumes=False)
    try:
        steps = container.plan()
    finally:
        container.remove()
    show_plan(session, tell(steps))
    return Outcome(value=steps)


RUN = Command(
    "run",
    "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    "Create and run a new container from an image",
    run,
    "container run --rm -it --memory 256m lab sh\ncontainer run --explain --rm lab true",
    flags=RUN_FLAGS,
    later=LATER,
    min_args=1,
    interspersed=False,
    details=_NETWORK_NOTE,
    own_exit_codes=True,
)

CREATE = Command(
    "create",
    "[OPTIONS] IMAGE [COMMAND] [ARG...]",
    "Create a new container",
    create,
    "container create --name web --env MODE=test lab sleep 60",
    flags=CREATE_FLAGS,
    later=LATER,
    min_args=1,
    interspersed=False,
    details=_NETWORK_NOTE,
)
