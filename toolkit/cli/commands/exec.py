"""`container exec`."""

from toolkit.cli.command import Command
from toolkit.cli.detach import parse_keys
from toolkit.cli.flags import BOOL, LIST, STRING, Flag, Parsed
from toolkit.cli.foreground import all_streams, check_terminal, console_size, follow
from toolkit.cli.kinds import ENV, read_env_files
from toolkit.cli.session import Outcome, Session
from toolkit.engine.options import ExecOptions


def execute(session: Session, parsed: Parsed) -> Outcome:
    """Run one more command in a running container."""
    name, *command = parsed.args
    is_detached, tty = parsed["detach"], parsed["tty"]
    options = ExecOptions(
        tuple(command),
        tty=tty,
        open_stdin=parsed["interactive"] and not is_detached,
        detach=is_detached,
        env=(*read_env_files(parsed["env-file"]), *parsed["env"]),
        working_dir=parsed["workdir"],
        user=parsed["user"],
        privileged=parsed["privileged"],
    )
    keys = parse_keys(parsed["detach-keys"])
    check_terminal(session, stdin=options.open_stdin, tty=tty)
    container = session.engine.containers.get(name)
    attachment = container.exec(options, console_size=console_size(session) if tty else None)
    if is_detached:
        attachment.close()
        return Outcome(value=container)
    exit_code = follow(
        session,
        container,
        attachment,
        streams=all_streams(stdin=options.open_stdin),
        tty=tty,
        keys=keys,
        sig_proxy=False,
        interrupt=attachment.kill,
    )
    return Outcome(exit_code, container)


EXEC = Command(
    "exec",
    "[OPTIONS] CONTAINER COMMAND [ARG...]",
    "Execute a command in a running container",
    execute,
    "container exec -it web sh",
    flags=(
        Flag("detach", "d", BOOL, "Detached mode: run command in the background"),
        Flag("detach-keys", "", STRING, "Override the key sequence for detaching a container"),
        Flag("env", "e", ENV, "Set environment variables"),
        Flag("env-file", "", LIST, "Read in a file of environment variables"),
        Flag("interactive", "i", BOOL, "Keep STDIN open even if not attached"),
        Flag("privileged", "", BOOL, "Give extended privileges to the command"),
        Flag("tty", "t", BOOL, "Allocate a pseudo-TTY"),
        Flag("user", "u", STRING, 'Username or UID (format: "<name|uid>[:<group|gid>]")'),
        Flag("workdir", "w", STRING, "Working directory inside the container"),
    ),
    min_args=2,
    interspersed=False,
)
