"""--cap-add and --cap-drop as docker computes them: `tweak` alone, since the capstone lab is graded with it."""

import pytest

from toolkit.core.errors import InvalidError, UnsupportedError
from toolkit.linux.capability import ALL, DEFAULT, parse, tweak

NO_RESOURCE = ALL & ~parse(["SYS_RESOURCE"])


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        ([], [], DEFAULT),
        (["SYS_ADMIN"], [], DEFAULT | 1 << 21),
        ([], ["CHOWN"], DEFAULT & ~1),
        ([], ["ALL"], 0),
        (["NET_ADMIN"], ["ALL"], 1 << 12),
        (["ALL"], [], ALL),
        (["ALL"], ["MKNOD"], ALL & ~(1 << 27)),
        (["ALL"], ["ALL"], ALL),
        (["ALL"], ["ALL", "MKNOD"], ALL & ~(1 << 27)),
        (["CHOWN"], ["CHOWN"], DEFAULT),
    ],
)
def test_add_and_drop_as_docker_computes_them(add: list[str], drop: list[str], expected: int) -> None:
    assert tweak(add, drop) == expected


def test_privileged_is_everything_the_host_has() -> None:
    assert tweak(drop=["ALL"], privileged=True, available=NO_RESOURCE) == NO_RESOURCE


def test_all_is_clipped_to_the_host() -> None:
    assert tweak(["ALL"], available=NO_RESOURCE) == NO_RESOURCE


def test_adding_what_the_host_lacks_is_refused_by_name() -> None:
    with pytest.raises(UnsupportedError, match=r"CAP_SYS_RESOURCE.*bounding set"):
        tweak(["sys_resource"], available=NO_RESOURCE)


def test_names_are_read_as_in_docker() -> None:
    assert tweak(["net_admin"], ["CAP_CHOWN"]) == DEFAULT & ~1 | 1 << 12


def test_unknown_name_is_refused() -> None:
    with pytest.raises(InvalidError, match="CAP_FLY"):
        tweak(["fly"])


def test_default_is_clipped_to_the_host() -> None:
    assert tweak(available=DEFAULT & ~1) == DEFAULT & ~1
