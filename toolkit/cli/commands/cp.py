"""`container cp`: docker's client's part of it, over the tar streams in and out of a container."""

import os
import stat
from contextlib import contextmanager
from typing import NamedTuple

from toolkit.cli.command import Command
from toolkit.cli.flags import BOOL, Flag, Parsed
from toolkit.cli.session import Outcome, Session
from toolkit.core.errors import InvalidError, NotFoundError
from toolkit.core.units import format_bytes

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Generator
    from typing import IO

    from toolkit.engine import Container
    from toolkit.engine.files.copy import Source, Target


class _Local(NamedTuple):
    """A file of this machine that is copied."""

    directory: str
    name: str
    """In the directory; "." is that itself."""
    source: "Source"


def copy(session: Session, parsed: Parsed) -> Outcome:
    """Copy between a container and this machine."""
    source_name, source = _split(parsed.args[0])
    target_name, target = _split(parsed.args[1])
    if source_name and target_name:
        raise InvalidError("copying between containers is not supported", hint="copy to this machine first, or use -")
    if source_name:
        return _copy_out(session, parsed, session.engine.containers.get(source_name), source, target)
    if target_name:
        return _copy_in(session, parsed, session.engine.containers.get(target_name), source, target)
    raise InvalidError("must specify at least one container source", hint="write CONTAINER:PATH")


def _split(text: str) -> tuple[str, str]:
    """Split CONTAINER:PATH; a path of this machine begins with / or ., or has no colon before its first slash."""
    if text.startswith(("/", ".")) or text == "-":
        return "", text
    name, colon, path = text.partition(":")
    return (name, path) if colon and "/" not in name else ("", text)


# Out of a container


def _copy_out(session: Session, parsed: Parsed, container: "Container", path: str, local: str) -> Outcome:
    from toolkit.engine.files.copy import Source, land, renamer
    from toolkit.engine.files.stat import base_name

    name = base_name(path)
    found = container.files.stat(path)
    if parsed["follow-link"] and found.is_symlink:
        path = found.link_target
        found = container.files.stat(path)
    if local == "-":
        with _stdout(session) as out:
            container.files.get(path, out)
        return Outcome(value=container)
    base = base_name(path)
    landing = land(Source(name, found.is_directory), _local_target(local))
    directory = os.open(landing.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def take(stream: "IO[bytes]") -> int:
        from toolkit.engine.files.unpack import Owner, unpack

        owner = Owner(keeps=not parsed["archive"])
        return unpack(stream, directory, "/", owner=owner, rename=renamer(base, landing.base))

    try:
        size = _pass_on(lambda out: container.files.get(path, out), take)
    finally:
        os.close(directory)
    _say(session, parsed, size, local)
    return Outcome(value=container)


def _local_target(path: str) -> "Target":
    """Say what there is at a path of this machine; a symlink is followed.

    Raises:
        NotFoundError: not even its directory is there.
    """
    from toolkit.engine.files.copy import Target
    from toolkit.engine.files.stat import asserts_directory

    real = os.path.realpath(path) if os.path.islink(path.rstrip("/") or "/") else path
    try:
        found = os.stat(real)
    except FileNotFoundError:
        parent = os.path.dirname(real.rstrip("/").removesuffix("/.")) or "."
        if not os.path.isdir(parent):
            raise NotFoundError(f'invalid output path: directory "{os.path.abspath(parent)}" does not exist') from None
        return Target(real, exists=False, is_directory=False)
    except NotADirectoryError as exc:
        raise InvalidError(f"{path}: not a directory") from exc
    is_directory = stat.S_ISDIR(found.st_mode)
    if not is_directory and not stat.S_ISREG(found.st_mode):
        raise InvalidError(f'invalid output path: "{path}" is not a regular file', hint="name a file or a directory")
    if asserts_directory(path) and not is_directory:
        raise InvalidError(f"{path}: not a directory")
    return Target(real, exists=True, is_directory=is_directory)


# Into a container


def _copy_in(session: Session, parsed: Parsed, container: "Container", local: str, path: str) -> Outcome:
    from toolkit.engine.files.archive import write_tar
    from toolkit.engine.files.copy import land, renamer

    target = _container_target(container, path)
    archive = parsed["archive"]
    if local == "-":
        if not target.is_directory:
            raise InvalidError(f'destination "{parsed.args[1]}" must be a directory')
        if session.stdin is None:
            raise InvalidError("there is no tar on the standard input")
        container.files.put(target.path, session.stdin, gives_to_user=archive)
        return Outcome(value=container)
    file = _local_source(local, follows=parsed["follow-link"])
    landing = land(file.source, target)
    directory = os.open(file.directory, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)

    def give(out: "IO[bytes]") -> int:
        return write_tar(out, lambda packer: packer.add(directory, file.name, file.source.base))

    def take(stream: "IO[bytes]") -> int:
        rename = renamer(file.source.base, landing.base)
        return container.files.put(landing.directory, stream, rename=rename, gives_to_user=archive)

    try:
        size = _pass_on(give, take)
    finally:
        os.close(directory)
    _say(session, parsed, size, parsed.args[1])
    return Outcome(value=container)


def _container_target(container: "Container", path: str) -> "Target":
    from toolkit.engine.files.copy import Target

    if not path:
        raise InvalidError("the path in the container is empty", hint="write CONTAINER:PATH")
    where = path
    try:
        found = container.files.stat(where)
        if found.is_symlink:
            where = found.link_target
            found = container.files.stat(where)
    except (NotFoundError, InvalidError):  # as docker: whether its directory is there shows later
        return Target(where, exists=False, is_directory=False)
    if not found.is_directory and not stat.S_ISREG(found.mode):
        raise InvalidError(f"{path} in container {container.name} is not a regular file or directory")
    return Target(where, exists=True, is_directory=found.is_directory)


def _local_source(path: str, *, follows: bool) -> _Local:
    """Find a file of this machine.

    Raises:
        NotFoundError: it is not there.
        InvalidError: it ends in a slash and is no directory.
    """
    from toolkit.engine.files.copy import Source
    from toolkit.engine.files.stat import asserts_directory

    base = os.path.basename(os.path.abspath(path)) or "."
    has_slash = asserts_directory(path)
    real = os.path.realpath(path) if follows or has_slash else path
    try:
        found = os.lstat(real)
    except FileNotFoundError:
        raise NotFoundError(f"lstat {os.path.abspath(path)}: no such file or directory") from None
    except NotADirectoryError as exc:
        raise InvalidError(f"{path}: not a directory") from exc
    is_directory = stat.S_ISDIR(found.st_mode)
    if has_slash and not is_directory:
        raise InvalidError(f"{path}: not a directory")
    if is_directory:
        return _Local(real, ".", Source("." if path.endswith("/.") or path == "." else base, is_directory=True))
    directory, _, name = os.path.abspath(real).rpartition("/")
    return _Local(directory or "/", name, Source(base, is_directory=False))


# Between them


def _pass_on(give: "Callable[[IO[bytes]], int]", take: "Callable[[IO[bytes]], int]") -> int:
    """Have a thread write what is read here; return what `take` returns, raise what either does."""
    import threading

    reader, writer = os.pipe()
    failure: list[BaseException] = []

    def write() -> None:
        try:
            with open(writer, "wb") as out:
                give(out)
        except BrokenPipeError:
            pass  # the reader says why it has stopped
        except BaseException as exc:  # noqa: BLE001 - raised again by the one that waits
            failure.append(exc)

    thread = threading.Thread(target=write, name="cp")
    thread.start()
    try:
        with open(reader, "rb") as stream:
            size = take(stream)
            while stream.read(1 << 16):  # what follows the tar's end
                pass
    except BaseException:
        thread.join()
        if failure:  # a tar that ends early is only what came of it
            raise failure[0] from None
        raise
    thread.join()
    if failure:
        raise failure[0]
    return size


@contextmanager
def _stdout(session: Session) -> "Generator[IO[bytes]]":
    """Return where a tar may be written: never a terminal.

    Raises:
        InvalidError: stdout is one, or takes text only.
    """
    out = getattr(session.stdout, "buffer", None)
    if session.stdout_is_tty or out is None:
        raise InvalidError("refusing to write a tar to a terminal", hint="send it to a file or a pipe")
    yield out
    out.flush()


def _say(session: Session, parsed: Parsed, size: int, where: str) -> None:
    """Say what was copied, as docker does: to a person only."""
    if not parsed["quiet"] and session.stderr_is_tty:
        session.complain(f"Successfully copied {format_bytes(size)} to {where}")


CP = Command(
    "cp",
    "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tcontainer cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    "Copy files/folders between a container and the local filesystem",
    copy,
    "container cp web:/etc/hosts .\ncontainer cp site/. web:/srv/www",
    flags=(
        Flag("archive", "a", BOOL, "Archive mode (copy all uid/gid information)"),
        Flag("follow-link", "L", BOOL, "Always follow symbol link in SRC_PATH"),
        Flag("quiet", "q", BOOL, "Suppress progress output during copy"),
    ),
    min_args=2,
    max_args=2,
    details='Use "-" as the source to read a tar archive from stdin and extract it to a directory of a container, and '
    "as the destination to stream a tar archive of a container source to stdout. What is mounted in a container that "
    "runs (a tmpfs, /dev/shm) is seen too. Without --archive what comes out is yours, and no set-user-id bit and no "
    "file capability comes with it.",
)
