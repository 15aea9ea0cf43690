"""`container volume ...` and the mounts of `run`, as a user types them."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Shell, lines_of
from toolkit.cli.mounts import parse_mount, parse_volume
from toolkit.core.errors import EngineError
from toolkit.engine import Engine
from toolkit.volume.mount import BIND, TMPFS, VOLUME, MountSpec

pytestmark = pytest.mark.needs("root", "overlay")


@pytest.fixture(autouse=True)
def _clean(shell: Shell) -> Iterator[None]:
    """Take away the volumes that a test leaves, and the containers that use them first."""
    yield
    with Engine.open() as engine:
        for container in engine.containers.list(all=True):
            container.remove(force=True)
        for volume in engine.volumes.list():
            volume.remove()


@pytest.mark.parametrize(
    ("text", "spec"),
    [
        ("type=bind,source=/a,target=/b", MountSpec(BIND, "/b", "/a")),
        ("type=BIND,src=/a,dst=/b,readonly", MountSpec(BIND, "/b", "/a", read_only=True)),
        ("type=bind,src=/a,destination=/b,ro=false", MountSpec(BIND, "/b", "/a")),
        ("type=bind,src=.,dst=/b", MountSpec(BIND, "/b", os.getcwd())),
        ("type=bind,src=/a,dst=/b,bind-propagation=rslave", MountSpec(BIND, "/b", "/a", propagation="rslave")),
        ("type=bind,src=/a,dst=/b,bind-nonrecursive", MountSpec(BIND, "/b", "/a", recursion="disabled")),
        ("type=bind,src=/a,dst=/b,bind-recursive=enabled", MountSpec(BIND, "/b", "/a")),
        ("type=bind,src=/a,dst=/b,idmap", MountSpec(BIND, "/b", "/a", idmap="container")),
        (
            "type=bind,src=/a,dst=/b,idmap=uids=1-0-1;gids=2-0-1",
            MountSpec(BIND, "/b", "/a", idmap="uids=1-0-1;gids=2-0-1"),
        ),
        ("src=vol,dst=/b,volume-nocopy", MountSpec(VOLUME, "/b", "vol", no_copy=True)),
        ("dst=/b", MountSpec(VOLUME, "/b")),
        ("src=vol,dst=/b,volume-subpath=a/b,consistency=cached", MountSpec(VOLUME, "/b", "vol", subpath="a/b")),
        (
            'src=vol,dst=/b,volume-driver=d,"volume-opt=o=a,b",volume-opt=x=1,volume-label=k=v',
            MountSpec(VOLUME, "/b", "vol", driver="d", driver_options={"o": "a,b", "x": "1"}, labels={"k": "v"}),
        ),
        (
            "type=tmpfs,dst=/b,tmpfs-size=1m,tmpfs-mode=0700",
            MountSpec(TMPFS, "/b", tmpfs_size_bytes=1 << 20, tmpfs_mode=0o700),
        ),
    ],
)
def test_mount_reads_dockers_fields(text: str, spec: MountSpec) -> None:
    assert parse_mount(text) == spec


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "value is empty"),
        ("type=bind,src=/a", "target is required"),
        ("bind", "invalid field 'bind' must be a key=value pair"),
        ("type=bind,foo=1,dst=/b", "unexpected key 'foo' in 'foo=1'"),
        ("type=bind,bind-foo=1,dst=/b", "unexpected key 'bind-foo' in 'bind-foo=1'"),
        ("type=bind,src=/a,dst=/b,readonly=maybe", "invalid value for readonly: maybe"),
        ("type=bind,src=/a,dst=/b,volume-nocopy", "cannot mix 'volume-*' options with mount type 'bind'"),
        ("dst=/b,bind-propagation=rslave", "cannot mix 'bind-*' options with mount type 'volume'"),
        ("dst=/b,tmpfs-size=1m", "cannot mix 'tmpfs-*' options with mount type 'volume'"),
        ("type=tmpfs,dst=/b,tmpfs-mode=9", "invalid value for tmpfs-mode: 9"),
        ("type=tmpfs,dst=/b,tmpfs-size=x", "invalid size: 'x'"),
        ("type=bind,src=/a,dst=/b,bind-recursive=odd", 'must be "enabled", "disabled", "writable", or "readonly"'),
        ("type=bind,src=/a,dst=/b,bind-recursive=writable", "requires 'readonly' to be specified in conjunction"),
        ("type=bind,src=/a,dst=/b,ro,bind-recursive=readonly", "requires 'bind-propagation=rprivate'"),
        ("type=npipe,src=/a,dst=/b", 'invalid mount config for type "npipe": mount type unknown'),
        ("type=bind,src=/a,dst=/b,idmap=odd", "invalid idmap: odd"),
    ],
)
def test_mount_that_means_nothing_is_refused(text: str, complaint: str) -> None:
    with pytest.raises((ValueError, EngineError)) as caught:
        parse_mount(text)
    assert complaint in str(caught.value)


def test_relative_source_is_made_absolute(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    monkeypatch.chdir(tmp_path / "in")
    assert parse_volume("./x:/data:ro") == f"{tmp_path}/in/x:/data:ro"
    assert parse_volume(".:/data") == f"{tmp_path}/in:/data"
    assert parse_volume("../x:/data") == f"{tmp_path}/x:/data"
    assert parse_volume("name:/data") == "name:/data"
    assert parse_volume("/data") == "/data"


def test_volumes_are_made_listed_inspected_and_removed(shell: Shell) -> None:
    assert shell.out("volume", "create", "--label", "tier=front", "data") == "data"
    assert shell.out("volume", "create", "data") == "data"
    anonymous = shell.out("volume", "create")
    assert len(anonymous) == 64
    heading, *rows = shell.out("volume", "ls").splitlines()
    assert heading.split() == ["DRIVER", "VOLUME", "NAME"]
    assert sorted(row.split() for row in rows) == sorted([["local", "data"], ["local", anonymous]])
    (shown,) = json.loads(shell.out("volume", "inspect", "data"))
    assert list(shown) == ["CreatedAt", "Driver", "Labels", "Mountpoint", "Name", "Options", "Scope"]
    assert shown["Labels"] == {"tier": "front"}
    assert shell.out("volume", "inspect", "-f", '{{.Mountpoint}} {{index .Labels "tier"}}', "data") == (
        f"{shown['Mountpoint']} front"
    )
    assert shell.out("inspect", "--type", "volume", "-f", "{{.Name}}", "data") == "data"
    assert shell.out("volume", "rm", "data", anonymous).split() == ["data", anonymous]
    assert shell.fail("volume", "rm", "data", code=1).startswith("get data: no such volume")
    assert shell.out("volume", "rm", "-f", "data") == "data"
    done = shell("volume", "inspect", "data", check=1)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("filters", "wanted"),
    [
        (["dangling=true"], "other"),
        (["dangling=false"], "used"),
        (["name=us"], "used"),
        (["driver=local"], "other used"),
        (["driver=nope"], ""),
        (["label=a=b"], "other"),
        (["label=a", "name=used"], ""),
    ],
)
def test_ls_filters(shell: Shell, filters: list[str], wanted: str) -> None:
    shell.out("volume", "create", "--label", "a=b", "other")
    shell.out("create", "-v", "used:/data", "lab", "true")
    words = [word for each in filters for word in ("--filter", each)]
    assert shell.out("volume", "ls", "-q", *words).split() == wanted.split()
    assert "invalid filter 'foo'" in shell.fail("volume", "ls", "--filter", "foo=1", code=1)


def test_volume_in_use_is_said_with_its_container(shell: Shell) -> None:
    ident = shell.out("create", "--name", "web", "-v", "used:/data", "lab", "true")
    text = shell.fail("volume", "rm", "used", code=1)
    assert text == f"remove used: volume is in use - [{ident}]; remove web first"


def test_prune_asks_and_takes_those_without_a_name(shell: Shell) -> None:
    shell.out("volume", "create", "named")
    anonymous = shell.out("volume", "create")
    asked = shell("volume", "prune", stdin=b"n\n", check=0).stdout
    assert asked.startswith("WARNING! This will remove anonymous local volumes not used by at least one container.")
    pruned = shell.out("volume", "prune", "-f").splitlines()
    assert pruned == ["Deleted Volumes:", anonymous, "", "Total reclaimed space: 0B"]
    assert shell.out("volume", "prune", "-f", "--filter", "label=x", "-a") == "Total reclaimed space: 0B"
    assert "named" in shell.out("volume", "prune", "-f", "-a").split()


def test_system_prune_takes_volumes_where_it_is_asked_to(shell: Shell) -> None:
    shell.out("run", "-v", "/data", "-v", "named:/named", "lab", "sh", "-c", "echo x > /data/x")
    assert "Deleted Volumes:" not in shell.out("system", "prune", "-f")
    assert "Deleted Volumes:" in shell.out("system", "prune", "-f", "--volumes")
    assert shell.out("volume", "ls", "-q") == "named"


def test_rm_v_takes_volumes_without_a_name(shell: Shell) -> None:
    shell.out("create", "--name", "web", "-v", "/data", "-v", "named:/named", "lab", "true")
    shell.out("rm", "-v", "web")
    assert shell.out("volume", "ls", "-q") == "named"


def test_df_shows_volumes(shell: Shell) -> None:
    shell.out("run", "--name", "web", "-v", "used:/data", "lab", "sh", "-c", "head -c 2000000 /dev/zero > /data/x")
    shell.out("volume", "create", "idle")
    row = shell.out("system", "df").splitlines()[3]
    assert row.split() == ["Local", "Volumes", "2", "1", "2MB", "0B", "(0%)"]
    text = shell.out("system", "df", "-v").partition("Local Volumes space usage:\n\n")[2]
    assert [line.split() for line in lines_of(text.partition("\n\n")[0])] == [["idle", "0", "0B"], ["used", "1", "2MB"]]
    assert shell.out("ps", "-a", "--format", "{{.LocalVolumes}} {{.Mounts}}") == "1 used"


def test_ps_filters_by_volume(shell: Shell, tmp_path: Path) -> None:
    shell.out("create", "--name", "one", "-v", "used:/data", "lab", "true")
    shell.out("create", "--name", "two", "-v", f"{tmp_path}:/other", "lab", "true")
    for wanted, name in (("used", "one"), ("/data", "one"), (str(tmp_path), "two"), ("/other", "two"), ("none", "")):
        assert shell.out("ps", "-a", "--filter", f"volume={wanted}", "--format", "{{.Names}}") == name


def test_run_mounts_what_it_was_asked_to(shell: Shell, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("of the host\n")
    script = "cat /b/file; df -k /t | tail -1; echo x > /v/x; touch /b/no"
    mounts = ("-v", f"{tmp_path}:/b:ro", "--mount", "type=tmpfs,dst=/t,tmpfs-size=64k", "-v", "vol:/v")
    out = shell("run", "--rm", *mounts, "lab", "sh", "-c", script, check=1)
    assert out.stdout.split()[:5] == ["of", "the", "host", "tmpfs", "64"]
    assert "Read-only file system" in out.stderr
    assert shell.out("run", "--rm", "--mount", "src=vol,dst=/m", "lab", "cat", "/m/x") == "x"


def test_bind_mount_that_is_wrong_fails_like_dockers(shell: Shell) -> None:
    text = shell.fail("run", "--rm", "--mount", "type=bind,src=/no/such,dst=/m", "lab", "true", code=125)
    assert text.startswith('invalid mount config for type "bind": bind source path does not exist: /no/such')
    text = shell("run", "--rm", "-v", "a:b:c:d", "lab", "true", check=125).stderr
    assert "invalid volume specification: 'a:b:c:d'" in text
    text = shell.fail("run", "--rm", "-v", "a_/b:/c", "lab", "true", code=125)
    assert "includes invalid characters for a local volume name" in text


def test_dry_run_shows_each_mount_and_makes_nothing_that_stays(shell: Shell, tmp_path: Path) -> None:
    far = ("--mount", "dst=/p,src=far,volume-driver=nosuch")
    mounts = ("-v", f"{tmp_path}:/b:ro", "-v", "/anon", "-v", "named:/named", *far)
    shown = shell.out("run", "--dry-run", *mounts, "lab", "true")
    assert f'mount("{tmp_path}", "/b"' in shown
    assert "The host's own files" in shown
    assert shell.out("volume", "ls", "-q") == ""
