"""`container login` and `logout`."""

from typing import NamedTuple

from toolkit.cli.command import Command
from toolkit.cli.flags import BOOL, STRING, Flag, Parsed
from toolkit.cli.session import Outcome, Session
from toolkit.core.errors import InvalidError, UnauthorizedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.registry.credentials import Credentials

_INSECURE = "WARNING! Using --password via the CLI is insecure. Use --password-stdin."


class _Given(NamedTuple):
    """Who somebody says to be."""

    username: str
    password: str


def login(session: Session, parsed: Parsed) -> Outcome:
    """Try credentials at a registry, and store those that it takes."""
    from toolkit.registry.credentials import Credentials, find_credentials
    from toolkit.registry.login import registry_of, store

    registry = registry_of(parsed.args[0] if parsed.args else "")
    known = None if parsed["username"] or parsed["password"] else find_credentials(registry)
    if known is not None and known.username and not parsed["password-stdin"]:
        session.print(f"Authenticating with existing credentials... [Username: {known.username}]")
        _check(session, parsed, registry, known)
        session.print("Login Succeeded")
        return Outcome()
    given = _ask(session, parsed)
    _check(session, parsed, registry, Credentials(given.username, given.password))
    path = store(registry, Credentials(given.username, given.password))
    if path:
        session.complain(
            f"WARNING! Your credentials are stored unencrypted in '{path}'.\n"
            "Configure a credential helper to remove this warning. See\n"
            "https://docs.docker.com/go/credential-store/\n"
        )
    session.print("Login Succeeded")
    return Outcome()


def _check(session: Session, parsed: Parsed, registry: str, credentials: "Credentials") -> None:
    from toolkit.registry.client import check_login

    insecure = (registry,) if parsed["insecure"] else ()
    try:
        check_login(registry, credentials, insecure=(*insecure, *session.engine.settings.insecure_registries))
    except UnauthorizedError as exc:
        raise UnauthorizedError(
            f"login to {registry} failed: unauthorized: incorrect username or password", hint="try again"
        ) from exc


def _ask(session: Session, parsed: Parsed) -> _Given:
    """Return the name and the password that were given, on the command line, on stdin or at the terminal."""
    username, password = parsed["username"], parsed["password"]
    if password and parsed["password-stdin"]:
        raise InvalidError("--password and --password-stdin are mutually exclusive", hint="give one of them")
    if parsed["password-stdin"]:
        if not username:
            raise InvalidError("the --password-stdin option requires --username to be set", hint="add --username")
        content = session.stdin.read() if session.stdin is not None else b""
        password = content.decode(errors="surrogateescape").rstrip("\r\n")
    elif password:
        session.complain(_INSECURE)
    if not (username and password) and not parsed["password-stdin"]:
        username, password = _ask_person(session, username, password)
    if not username or not password:
        raise InvalidError(f"{'password' if username else 'username'} is empty", hint="give one")
    return _Given(username, password)


def _ask_person(session: Session, username: str, password: str) -> tuple[str, str]:
    if not session.stdin_is_tty or session.stdin is None:
        message = "Cannot perform an interactive login from a non TTY device"
        raise InvalidError(message, hint="give --username and --password-stdin")
    if not username:
        session.stdout.write("Username: ")
        session.stdout.flush()
        username = session.stdin.readline().decode(errors="surrogateescape").strip()
    if not password:
        import getpass

        password = getpass.getpass("Password: ")
    return username, password


def logout(session: Session, parsed: Parsed) -> Outcome:
    """Forget the credentials for a registry."""
    from toolkit.registry.credentials import HUB, key_of
    from toolkit.registry.login import forget, registry_of

    registry = registry_of(parsed.args[0] if parsed.args else "")
    session.print(f"Removing login credentials for {key_of(registry) if registry == HUB else registry}")
    forget(registry)
    return Outcome()


_DETAILS = "Without a server Docker Hub is meant. Credentials are kept where docker keeps them."

LOGIN = Command(
    "login",
    "[OPTIONS] [SERVER]",
    "Authenticate to a registry",
    login,
    "container login --username ada --password-stdin registry.example < password",
    flags=(
        Flag("insecure", "", BOOL, "Accept the registry without TLS, or with any certificate"),
        Flag("password", "p", STRING, "Password or Personal Access Token (PAT)"),
        Flag("password-stdin", "", BOOL, "Take the Password or Personal Access Token (PAT) from stdin"),
        Flag("username", "u", STRING, "Username"),
    ),
    max_args=1,
    details=_DETAILS,
)

LOGOUT = Command(
    "logout",
    "[SERVER]",
    "Log out from a registry",
    logout,
    "container logout registry.example",
    max_args=1,
    details=_DETAILS,
)
