"""What a mount may be asked to be: docker's grammar and its refusals."""

import pytest

from toolkit.core.errors import InvalidError
from toolkit.volume.mount import BIND, VOLUME, IdTriple, MountSpec, check, parse_from, parse_idmap, parse_short


@pytest.mark.parametrize(
    ("text", "kind", "source", "target", "more"),
    [
        ("/data", VOLUME, "", "/data", {}),
        ("name:/data", VOLUME, "name", "/data", {}),
        ("name:/data/:ro", VOLUME, "name", "/data", {"read_only": True, "mode": "ro"}),
        ("name:/data:nocopy,z", VOLUME, "name", "/data", {"no_copy": True, "mode": "nocopy,z"}),
        ("/a/../b:/data", BIND, "/b", "/data", {"makes_source": True}),
        ("/b:/data:rslave,ro", BIND, "/b", "/data", {"makes_source": True, "propagation": "rslave", "read_only": True}),
        ("/b:/data:rro", BIND, "/b", "/data", {"makes_source": True, "read_only": True, "recursion": "readonly"}),
        ("/b:/data:Z,cached", BIND, "/b", "/data", {"makes_source": True}),
    ],
)
def test_short_form_says_what_docker_reads_in_it(
    text: str, kind: str, source: str, target: str, more: dict[str, object]
) -> None:
    wanted = MountSpec(kind, target, source)._replace(**more)  # type: ignore[arg-type]  # fields by their names
    assert parse_short(text)._replace(mode=wanted.mode) == wanted


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        (":/data", "invalid volume specification: ':/data'"),
        ("a:b:c:d", "invalid volume specification: 'a:b:c:d'"),
        ("name:rw", "invalid volume specification: 'name:rw'"),
        ("name:/data:foo", "invalid mode: foo"),
        ("name:/data:ro,rw", "invalid mode: ro,rw"),
        ("name:/data:rslave", "field BindOptions must not be specified"),
        ("name:data", "invalid mount path: 'data' mount path must be absolute"),
        ("name:/", "destination can't be '/'"),
        ("name://", "destination can't be '/'"),
        ("name:/..", "destination can't be '/'"),
        ("name", "invalid mount path: 'name' mount path must be absolute"),
        ("/a\0b:/data", "null byte"),
    ],
)
def test_short_form_that_means_nothing_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(InvalidError) as caught:
        parse_short(text)
    assert complaint in str(caught.value)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("spec", "complaint"),
    [
        (MountSpec("foo", "/m"), 'invalid mount config for type "foo": mount type unknown'),
        (MountSpec(BIND, "/m"), "field Source must not be empty"),
        (MountSpec(BIND, "/m", "x"), "mount path must be absolute"),
        (MountSpec(BIND, "/m", "/x", propagation="odd"), "invalid propagation mode: odd"),
        (MountSpec(BIND, "/m", "/x", recursion="readonly"), "requires 'readonly'"),
        (MountSpec(VOLUME, "", "n1"), "field Target must not be empty"),
        (MountSpec(VOLUME, "/m", read_only=True), "must not set ReadOnly mode when using anonymous volumes"),
        (MountSpec(VOLUME, "/m", "n1", subpath="../x"), "must be a relative path within the volume"),
        (MountSpec(VOLUME, "/m", "n1", subpath="/x"), "must be a relative path within the volume"),
        (MountSpec("tmpfs", "/m", "x"), "field Source must not be specified"),
        (MountSpec("tmpfs", "/m", idmap="container"), "field Idmap must not be specified"),
        (MountSpec(BIND, "/m", "/x", idmap="uids=1-2"), "invalid idmap"),
    ],
)
def test_mount_that_cannot_be_is_refused(spec: MountSpec, complaint: str) -> None:
    with pytest.raises(InvalidError) as caught:
        check(spec)
    assert complaint in str(caught.value)


def test_volumes_from_takes_a_name_and_read_only() -> None:
    assert parse_from("web") == ("web", False, "rw")
    assert parse_from("web:ro") == ("web", True, "ro")
    for text in (":ro", "web:foo", "web:rslave", "web:nocopy"):
        with pytest.raises(InvalidError):
            parse_from(text)


def test_idmap_reads_ranges_of_users_and_groups() -> None:
    uids = (IdTriple(1000, 0, 1), IdTriple(0, 1, 5))
    assert parse_idmap("uids=1000-0-1#0-1-5;gids=100-0-1") == (uids, (IdTriple(100, 0, 1),))
    assert parse_idmap("uids=1000-0-1") == ((IdTriple(1000, 0, 1),),) * 2
    assert parse_idmap("container") == ((), ())
    for text in (
        "gids=0-0-1",
        "uids=",
        "uids=0-0-0",
        "uids=0-0-4294967297",
        "uids=a-b-c",
        "x=1",
        "uids=0-0-1;uids=0-0-1",
    ):
        with pytest.raises(InvalidError):
            parse_idmap(text)
