"""Users, names and signals as people write them; pure."""

import pytest

from toolkit.core.errors import InvalidError
from toolkit.engine.names import check_name, random_name
from toolkit.engine.signals import signal_number
from toolkit.engine.users import Identity, resolve

_FILES = {
    "/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nada:x:1000:1001::/home/ada:\n# note\n1000:x:7:7::/seven:\nbroken\n",
    "/etc/group": "root:x:0:\nwheel:x:10:ada,bob\naudio:x:29:ada\n99:x:0:mallory\nbroken\n",
}


def _resolve(user: str, *group_add: str) -> Identity:
    return resolve(user, lambda path: _FILES.get(path, ""), group_add)


@pytest.mark.parametrize(
    ("user", "identity"),
    [
        ("", Identity(0, 0, (0,), "/root")),
        ("root", Identity(0, 0, (0,), "/root")),
        ("ada", Identity(1000, 1001, (1001, 10, 29), "/home/ada")),
        ("ada:wheel", Identity(1000, 10, (10,), "/home/ada")),
        ("ada:77", Identity(1000, 77, (77,), "/home/ada")),
        ("1000", Identity(1000, 1001, (1001, 10, 29), "/home/ada")),  # not the user who is called so (CVE-2016-3697)
        ("01000", Identity(1000, 1001, (1001, 10, 29), "/home/ada")),
        ("7", Identity(7, 7, (7,), "/seven")),
        ("ada:99", Identity(1000, 99, (99,), "/home/ada")),
        ("4711", Identity(4711, 0, (0,), "/")),
        ("4711:4712", Identity(4711, 4712, (4712,), "/")),
    ],
)
def test_user_is_looked_up_as_docker_does(user: str, identity: Identity) -> None:
    assert _resolve(user) == identity


def test_groups_are_added_by_name_and_number_once_each() -> None:
    assert _resolve("ada", "audio", "99", "10").groups == (1001, 10, 29, 99)


def test_image_without_files_knows_numbers_only() -> None:
    assert resolve("5:6", lambda _path: "") == Identity(5, 6, (6,), "/")
    with pytest.raises(InvalidError, match="unable to find user ada"):
        resolve("ada", lambda _path: "")


@pytest.mark.parametrize(
    ("user", "text"),
    [
        ("nobody", "unable to find user nobody"),
        ("ada:nobody", "unable to find group nobody"),
        ("4294967295", "must be in range"),
        ("1:4294967295", "must be in range"),
        ("99999999999999999999", "must be in range"),
        ("-1", "unable to find user -1"),
        ("\u0663", "unable to find user"),  # a digit, but not one of ours
    ],
)
def test_user_that_cannot_be_is_refused(user: str, text: str) -> None:
    with pytest.raises(InvalidError, match=text):
        _resolve(user)


@pytest.mark.parametrize("group", ["nobody", "4294967295", "-1"])
def test_group_that_cannot_be_added_is_refused(group: str) -> None:
    with pytest.raises(InvalidError, match=group):
        _resolve("", group)


@pytest.mark.parametrize("name", ["web", "Web-1_a.b", "0x", "/web"])
def test_name_is_taken_without_its_slash(name: str) -> None:
    assert check_name(name) == name.removeprefix("/")


@pytest.mark.parametrize("name", ["", "a", "-a", ".a", "a b", "a/b", "ü1", "a\n", "web\n"])
def test_name_that_docker_refuses_is_refused(name: str) -> None:
    with pytest.raises(InvalidError, match="invalid container name"):
        check_name(name)


def test_random_names_are_valid_and_differ() -> None:
    names = {random_name() for _again in range(200)}
    assert len(names) > 100
    assert all(check_name(name) == name for name in names)


@pytest.mark.parametrize(
    ("name", "number"), [("SIGTERM", 15), ("term", 15), ("15", 15), (9, 9), ("RTMIN+3", 37), ("SIGRTMAX-1", 63)]
)
def test_signal_has_its_number(name: str | int, number: int) -> None:
    assert signal_number(name) == number


@pytest.mark.parametrize("name", ["", "0", "-1", "65", "NONESUCH", "SIG", "_DFL", "RTMIN+99", "1" * 5000, "\u0663"])
def test_signal_that_does_not_exist_is_refused(name: str) -> None:
    with pytest.raises(InvalidError, match="invalid signal"):
        signal_number(name)
