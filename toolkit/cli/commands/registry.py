"""`container registry serve`."""

from typing import Any

from toolkit.cli.command import Command
from toolkit.cli.flags import BOOL, INT, STRING, Flag, Parsed
from toolkit.cli.session import Outcome, Session
from toolkit.core.errors import InvalidError


def serve(session: Session, parsed: Parsed) -> Outcome:
    """Serve a directory as a registry until interrupted."""
    from toolkit.registry.server import serve as serve_registry

    host, root = parsed["host"], parsed["root"]

    def ready(port: int) -> None:
        session.print(f"registry at {host}:{port}, in {root}; Ctrl-C ends it")
        session.stdout.flush()

    serve_registry(
        root,
        host,
        parsed["port"],
        policy=_policy(parsed),
        is_read_only=parsed["read-only"],
        tls=_tls(parsed["tls-cert"], parsed["tls-key"]),
        ready=ready,
    )
    return Outcome()


def _policy(parsed: Parsed) -> Any:
    """Return who may do what, or None for everybody everything."""
    path = parsed["htpasswd"]
    if not path:
        if parsed["token-auth"]:
            raise InvalidError("--token-auth needs the users", hint="give them with --htpasswd FILE")
        return None
    from toolkit.registry.server.access import BasicPolicy, TokenPolicy
    from toolkit.registry.server.htpasswd import Htpasswd

    try:
        with open(path, encoding="utf-8") as file:
            users = Htpasswd(file.read())
    except OSError as exc:
        raise InvalidError(
            f"cannot read {path}: {exc.strerror}", hint="make it with: htpasswd -Bbc FILE USER PASSWORD"
        ) from exc
    return TokenPolicy(users) if parsed["token-auth"] else BasicPolicy(users)


def _tls(cert: str, key: str) -> Any:
    if not cert and not key:
        return None
    if not cert or not key:
        raise InvalidError("TLS needs both --tls-cert and --tls-key")
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key)
    except (OSError, ssl.SSLError) as exc:
        raise InvalidError(f"cannot use {cert} and {key}: {exc}") from exc
    return context


REGISTRY_SERVE = Command(
    "serve",
    "[OPTIONS]",
    "Serve a registry from a directory",
    serve,
    "container registry serve --port 5000 --root /srv/registry",
    flags=(
        Flag("host", "", STRING, "Address to listen on", default="127.0.0.1"),
        Flag("htpasswd", "", STRING, "File of users and passwords; without it everybody may push and pull"),
        Flag("port", "", INT, "Port to listen on; 0 takes a free one", default=5000),
        Flag("read-only", "", BOOL, "Refuse pushes and deletions"),
        Flag("root", "", STRING, "Directory of the registry", default="/var/lib/container-registry"),
        Flag("tls-cert", "", STRING, "Certificate (chain) in PEM, to serve https"),
        Flag("tls-key", "", STRING, "Private key in PEM"),
        Flag("token-auth", "", BOOL, "Have clients fetch tokens, as Docker Hub does, instead of Basic authentication"),
    ),
    max_args=0,
)
