"""--link: a name that one container has for another."""

import json

import pytest

from tests.support import dns
from tests.support.networks import NEEDS, Island
from toolkit.network.dns import message

pytestmark = pytest.mark.needs(*NEEDS)


def test_link_in_the_default_network_is_a_line_of_hosts_and_variables(clean: Island) -> None:
    options = ("--expose", "5432", "-e", "COLOUR=red", "--hostname", "inner")
    clean("run", "-d", "--name", "web-1", *options, "busybox", "sleep", "600")
    address = clean.network_of("web-1")["IPAddress"]
    clean("run", "-d", "--name", "app", "--link", "web-1:my-db", "-e", "MY_DB_NAME=mine", "busybox", "sleep", "600")
    hosts = [line.split() for line in clean("exec", "app", "cat", "/etc/hosts").splitlines()]
    assert [address, "my-db", "inner", "web-1"] in hosts
    told = clean("exec", "app", "cat", "/proc/1/environ").split("\0")
    assert {line for line in told if line.startswith("MY_DB")} == {
        f"MY_DB_PORT=tcp://{address}:5432", f"MY_DB_PORT_5432_TCP=tcp://{address}:5432",
        f"MY_DB_PORT_5432_TCP_ADDR={address}", "MY_DB_PORT_5432_TCP_PORT=5432", "MY_DB_PORT_5432_TCP_PROTO=tcp",
        "MY_DB_NAME=mine", "MY_DB_ENV_COLOUR=red",
    }  # fmt: skip
    assert "1 packets received" in clean("exec", "app", "ping", "-c", "1", "my-db")
    clean("rename", "web-1", "shop")
    assert json.loads(clean("inspect", "app"))[0]["HostConfig"]["Links"] == ["/shop:/app/my-db"]
    clean("stop", "-t", "0", "app", "shop")
    said = clean.fail("start", "app")
    assert "Cannot link to a non running container: /shop AS /app/my-db" in said


def test_link_in_another_network_is_a_name_for_one_alone(clean: Island) -> None:
    clean("network", "create", "--internal", "back")
    for name, options in (("web", ()), ("app", ("--link", "web:db")), ("other", ())):
        clean("run", "-d", "--name", name, "--network", "back", *options, "busybox", "sleep", "600")
    address = clean.network_of("web")["IPAddress"]
    assert dns.addresses(dns.ask(clean, "app", dns.query("db"))) == [address]
    assert dns.code(dns.ask(clean, "other", dns.query("db"))) == message.SERVFAIL
    assert clean.network_of("app")["Links"] == ["web:db"]
    clean("network", "disconnect", "back", "other")
    clean("network", "connect", "--link", "web:db", "back", "other")
    assert dns.addresses(dns.ask(clean, "other", dns.query("db"))) == [address]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--link", ""), "empty string specified for links"),
        (("--link", "a:b:c"), "bad format for links: a:b:c"),
        (("--link", ":b"), "bad format for links: :b"),
        (("--link", "nobody:db"), "could not get container for nobody: No such container: nobody"),
        (
            ("--link", "nobody", "--network", "host"),
            "host type networking can't be used with links",
        ),
        (("--link", "nobody", "--network", "container:x"), "container type networking can't be used with links"),
    ],
)
def test_link_that_means_nothing_is_refused(clean: Island, options: tuple[str, ...], said: str) -> None:
    assert said in clean.fail("run", *options, "busybox", "true", code=125)


def test_container_in_anothers_network_sees_its_names_too(clean: Island) -> None:
    clean("network", "create", "front")
    clean("run", "-d", "--name", "web", "--network", "front", "busybox", "sleep", "600")
    address = clean.network_of("web")["IPAddress"]
    out = clean("run", "--rm", "--network", "container:web", "busybox", "sh", "-c", "nslookup web; cat /etc/hosts")
    assert f"Address: {address}" in out
    assert f"{address}\t" in out
