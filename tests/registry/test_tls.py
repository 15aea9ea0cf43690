"""TLS: certificates that are trusted, that are not, and servers without any."""

import ssl
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.oci import make_image, push
from tests.support.scripted import ScriptedServer, answer
from toolkit.core.errors import UnauthorizedError, UnreachableError
from toolkit.registry.auth import Access, Authorizer
from toolkit.registry.challenge import Challenge
from toolkit.registry.credentials import Credentials
from toolkit.registry.endpoint import find_endpoint
from toolkit.registry.server import Server
from toolkit.registry.session import Patience, Registry
from toolkit.registry.source import Source
from toolkit.registry.transport import Timeouts, Transport

pytestmark = pytest.mark.needs("openssl")

QUICK = Patience(attempts=2, first_s=0.01, longest_s=1)
ACCESS = Access("a/b:latest", "pull", ("repository:a/b:pull",))
IMAGE = make_image({"a": b"1"})

Connect = Callable[..., Source]


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """Return paths of a self-signed certificate for 127.0.0.1 and of its key."""
    directory = tmp_path_factory.mktemp("tls")
    certificate, key = str(directory / "tls.crt"), str(directory / "tls.key")
    names = ["-subj", "/CN=registry", "-addext", "subjectAltName=IP:127.0.0.1"]
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            "-nodes",
            "-days",
            "2",
            *names,
            "-keyout",
            key,
            "-out",
            certificate,
        ],
        check=True,
        capture_output=True,
    )
    return certificate, key


@pytest.fixture
def server(tmp_path: Path, certificate: tuple[str, str]) -> Iterator[Server]:
    root = str(tmp_path / "registry")
    with Server(root) as plain:
        push(plain.address, "a/b", "latest", IMAGE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    with Server(root, tls=context) as running:
        yield running


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Connect]:
    transports: list[Transport] = []

    def make(address: str, *, is_strict: bool = True) -> Source:
        """Connect as to a host that is not this machine (`is_strict`), or as to one that is."""
        transport = Transport(Timeouts(connect_s=2, read_s=2), certs_dir=str(tmp_path / "certs.d"))
        transports.append(transport)
        endpoint = find_endpoint(address)
        if is_strict:
            endpoint = endpoint._replace(schemes=("https",), verify=True)
        return Source(Registry(endpoint, transport, None, QUICK), "a/b", ACCESS)

    yield make
    for transport in transports:
        transport.close()


def test_untrusted_certificate_is_refused_with_the_cure(server: Server, connect: Connect) -> None:
    cure = rf"is not trusted: self.signed certificate; put its CA into /etc/docker/certs\.d/{server.address}/ca\.crt"
    with pytest.raises(UnreachableError, match=cure):
        connect(server.address).fetch_manifest("latest")


def test_ca_of_certs_d_is_trusted(
    server: Server, connect: Connect, tmp_path: Path, certificate: tuple[str, str]
) -> None:
    directory = tmp_path / "certs.d" / server.address
    directory.mkdir(parents=True)
    (directory / "ca.crt").write_text(Path(certificate[0]).read_text())
    assert connect(server.address).fetch_manifest("latest").digest == IMAGE.digest


def test_certificate_for_another_name_is_refused(
    server: Server, connect: Connect, tmp_path: Path, certificate: tuple[str, str]
) -> None:
    address = server.address.replace("127.0.0.1", "localhost")
    directory = tmp_path / "certs.d" / address
    directory.mkdir(parents=True)
    (directory / "ca.crt").write_text(Path(certificate[0]).read_text())
    with pytest.raises(
        UnreachableError, match=r"is not trusted: Hostname mismatch, certificate is not valid for 'localhost'"
    ):
        connect(address).fetch_manifest("latest")


def test_loopback_may_have_any_certificate(server: Server, connect: Connect) -> None:
    assert connect(server.address, is_strict=False).fetch_manifest("latest").digest == IMAGE.digest


def test_server_without_tls_is_named_with_the_cure(connect: Connect) -> None:
    with ScriptedServer() as plain:
        plain.on("GET", "/v2/a/b/manifests/latest", answer(200, body=b"{}"))
        with pytest.raises(UnreachableError, match="TLS"):
            connect(plain.address).fetch_manifest("latest")


def test_server_that_answers_http_to_tls_does_not_speak_it(tmp_path: Path, connect: Connect) -> None:
    with (
        Server(str(tmp_path / "plain")) as plain,
        pytest.raises(UnreachableError, match="does not speak TLS; if that is meant to be, use --insecure"),
    ):
        connect(plain.address).fetch_manifest("latest")


def test_password_does_not_leave_tls_for_a_plain_token_server() -> None:
    authorizer = Authorizer(Credentials("me", "pw"), lambda *_: (200, b'{"token":"t"}'))
    challenge = Challenge("bearer", {"realm": "http://tokens.example/token"})
    with pytest.raises(UnauthorizedError, match=r"sent to tokens\.example without TLS"):
        authorizer.answer([challenge], ACCESS, None, "https://r.example/v2/")
