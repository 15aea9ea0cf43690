"""Paths that lead through symlinks."""

import errno

import pytest

from tests.support.fake_host import FakeHost


def test_walk_tells_every_link_of_a_merged_usr(fake: FakeHost) -> None:
    fake.link("/bin", "usr/bin")
    fake.link("/usr/bin/awk", "/etc/alternatives/awk")
    fake.link("/etc/alternatives/awk", "/usr/bin/mawk")
    fake.file("/usr/bin/mawk", b"")
    walk = fake.host.walk("/bin/awk")
    assert walk.real == "/usr/bin/mawk"
    assert walk.links == (
        ("/bin", "usr/bin"),
        ("/usr/bin/awk", "/etc/alternatives/awk"),
        ("/etc/alternatives/awk", "/usr/bin/mawk"),
    )


def test_absolute_link_stays_inside_the_root(fake: FakeHost) -> None:
    fake.link("/etc/mtab", "/proc/mounts")
    assert fake.host.outside("/etc/mtab") == f"{fake.root}/proc/mounts"


def test_dots_above_the_root_stay_at_the_root(fake: FakeHost) -> None:
    fake.link("/a", "../../../b")
    assert fake.host.walk("/a").real == "/b"


def test_links_in_a_circle_are_refused(fake: FakeHost) -> None:
    fake.link("/a", "b")
    fake.link("/b", "a")
    with pytest.raises(OSError, match="symbolic links") as caught:
        fake.host.walk("/a")
    assert caught.value.errno == errno.ELOOP
    assert not fake.host.is_file("/a")
