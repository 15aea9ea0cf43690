"""Docker's volume-plugin protocol, with a plugin in a process of its own: one that behaves, and one that does not."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import volume_plugin
from tests.support.engines import BUSYBOX, sh
from tests.support.patience import wait_until
from tests.support.volume_plugin import Plugin
from toolkit.core.errors import ConflictError, EngineError, InvalidError, NotFoundError, PluginError, UnsupportedError
from toolkit.engine.container import Container
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions
from toolkit.volume import discovery
from toolkit.volume.mount import VOLUME, MountSpec

pytestmark = pytest.mark.needs("root", "overlay", "busybox")
SPEC = MountSpec(VOLUME, "/m", "far", driver="testing")
TIMEOUT_S = 1


@pytest.fixture
def directory(engine: Engine, tmp_path: Path) -> str:
    """Return the only directory in which the engine looks for plugins."""
    made = tmp_path / "plugins"
    made.mkdir()
    settings = tmp_path / "daemon.json"
    settings.write_text(json.dumps({"plugin-directories": [str(made)], "plugin-timeout": TIMEOUT_S}))
    engine.config_file = str(settings)
    return str(made)


@pytest.fixture
def plugin(directory: str, tmp_path: Path) -> Iterator[Plugin]:
    """Return a plugin that runs under the name `testing`."""
    with volume_plugin.running(str(tmp_path / "plugin"), f"{directory}/testing.sock") as made:
        yield made


def made(engine: Engine, *specs: MountSpec, **options: Any) -> Container:
    mounts = specs or (SPEC,)
    return engine.containers.create(ContainerOptions(BUSYBOX, ("sleep", "600"), mounts=mounts, **options))


# As it should be


def test_volume_of_a_plugin_is_made_mounted_and_unmounted_by_it(engine: Engine, plugin: Plugin) -> None:
    assert sh(engine, "echo kept > /m/file", mounts=(SPEC,)).code == 0
    assert Path(f"{plugin.directory}/volumes/far/file").read_text() == "kept\n"
    assert sh(engine, "cat /m/file", mounts=(SPEC,)).out == "kept\n"
    assert plugin.calls("Create", "Mount", "Unmount") == ["Create", "Mount", "Unmount", "Mount", "Unmount"]
    mounts = [each for each in plugin.asked() if each["call"] in ("VolumeDriver.Mount", "VolumeDriver.Unmount")]
    assert mounts[0]["ID"] == mounts[1]["ID"] != mounts[2]["ID"]
    assert mounts[0]["Name"] == "far"
    assert os.listdir(engine.paths.volume_claims) == []
    engine.volumes.remove("far")
    assert os.path.exists(f"{plugin.directory}/removed-far/file")


def test_detached_container_lets_go_of_its_volume_without_anyone_there(engine: Engine, plugin: Plugin) -> None:
    """Its monitor sees to it, at the end."""
    container = engine.containers.create(ContainerOptions(BUSYBOX, ("true",), mounts=(SPEC,)))
    container.start()
    wait_until(lambda: plugin.calls("Unmount"), 20)
    assert container.exit_code == 0
    assert container.status == "exited"
    container.start()
    container.wait()
    assert plugin.calls("Mount", "Unmount") == ["Mount", "Unmount"] * 2


def test_container_that_is_started_again_by_its_policy_keeps_its_volume(engine: Engine, plugin: Plugin) -> None:
    options = ContainerOptions(BUSYBOX, ("false",), mounts=(SPEC,), restart_policy="on-failure", restart_retries=2)
    container = engine.containers.create(options)
    container.start()
    wait_until(lambda: plugin.calls("Unmount"), 30)
    assert container.inspect()["RestartCount"] == 2
    assert plugin.calls("Mount", "Unmount") == ["Mount", "Unmount"]


def test_options_go_to_the_plugin_and_inspect_asks_it(engine: Engine, plugin: Plugin) -> None:
    volume = engine.volumes.create("far", driver="testing", options={"a": "b"}, labels={"x": "y"})
    assert next(each for each in plugin.asked() if each["call"].endswith("Create"))["Opts"] == {"a": "b"}
    shown = volume.inspect()
    assert (shown["Driver"], shown["Scope"], shown["Status"]) == ("testing", "global", {"colour": "red"})
    assert shown["Mountpoint"] == f"{plugin.directory}/volumes/far"
    assert shown["Labels"] == {"x": "y"}


def test_volumes_that_a_plugin_has_of_its_own_are_listed(engine: Engine, plugin: Plugin) -> None:
    os.makedirs(f"{plugin.directory}/volumes/before")
    engine.volumes.create("mine")
    assert [volume.name for volume in engine.volumes.list()] == ["before", "mine"]
    assert engine.volumes.get("before").driver == "testing"


def test_inspect_shows_where_it_lies_while_it_is_mounted(engine: Engine, plugin: Plugin) -> None:
    container = made(engine)
    assert container.inspect()["Mounts"][0]["Source"] == ""
    container.start()
    shown = container.inspect()["Mounts"][0]
    assert (shown["Driver"], shown["Source"]) == ("testing", f"{plugin.directory}/volumes/far")
    container.remove(force=True)
    assert plugin.calls("Mount", "Unmount") == ["Mount", "Unmount"]


# Discovery


def test_plugin_is_found_by_a_spec_file_with_a_port(engine: Engine, directory: str, tmp_path: Path) -> None:
    with volume_plugin.running(str(tmp_path / "plugin"), "0") as plugin:
        port = int(Path(f"{plugin.directory}/ready").read_text().split(",")[1].strip(" )"))
        Path(f"{directory}/byport.spec").write_text(f"tcp://127.0.0.1:{port}\n")
        Path(f"{directory}/byjson.json").write_text(json.dumps({"Name": "x", "Addr": f"http://127.0.0.1:{port}"}))
        for name in ("byport", "byjson"):
            assert sh(engine, "true", mounts=(SPEC._replace(driver=name, source=name),)).code == 0
        assert plugin.calls("Create") == ["Create", "Create"]


def test_socket_in_a_directory_of_its_own_is_found(directory: str, tmp_path: Path) -> None:
    os.makedirs(f"{directory}/own")
    with volume_plugin.running(str(tmp_path / "plugin"), f"{directory}/own/own.sock"):
        assert discovery.find("own", [directory]) == f"unix://{directory}/own/own.sock"
        assert discovery.names([directory, "/no/such"]) == ["own"]


def test_plugin_that_there_is_not_is_said_in_dockers_words(engine: Engine, directory: str) -> None:
    with pytest.raises(
        NotFoundError, match='create far: error looking up volume plugin nosuch: plugin "nosuch" not found'
    ):
        engine.volumes.create("far", driver="nosuch")
    with pytest.raises(NotFoundError, match="error looking up volume plugin"):
        engine.volumes.create("far", driver="../../etc/passwd")
    with pytest.raises(NotFoundError):
        made(engine)
    assert engine.containers.list(all=True) == []


def test_file_that_names_no_address_is_refused(engine: Engine, directory: str) -> None:
    Path(f"{directory}/odd.spec").write_text("somewhere\n")
    Path(f"{directory}/torn.json").write_text("{")
    Path(f"{directory}/secret.json").write_text(json.dumps({"Addr": "https://x", "TLSConfig": {"CAFile": "x"}}))
    for name, kind in (("odd", InvalidError), ("torn", InvalidError), ("secret", UnsupportedError)):
        with pytest.raises(kind):
            engine.volumes.create("far", driver=name)


# A plugin that is broken


BROKEN = [
    ("Activate", "HANG", "has not answered within 1 seconds"),
    ("Activate", "DIE", "broke off"),
    ("Activate", '{"Implements": ["NetworkDriver"]}', "does not implement VolumeDriver"),
    ("Activate", '{"Implements": 7}', "does not implement VolumeDriver"),
    ("Create", "HANG", "has not answered within 1 seconds"),
    ("Create", "SLOW", "has not answered within 1 seconds"),
    ("Create", "DIE", "broke off"),
    ("Create", "<html>", "no JSON object"),
    ("Create", "[1]", "no JSON object"),
    ("Create", '{"Err": "disk on fire"}', "disk on fire"),
]


@pytest.mark.parametrize(("verb", "how", "complaint"), BROKEN)
def test_plugin_that_breaks_when_a_volume_is_made_leaves_no_container(
    engine: Engine, plugin: Plugin, verb: str, how: str, complaint: str
) -> None:
    plugin.misbehave(verb, how)
    with pytest.raises(PluginError) as caught:
        made(engine)
    assert complaint in str(caught.value)
    assert caught.value.hint
    assert engine.containers.list(all=True) == []
    assert [*engine.volumes.store.list()] == []


@pytest.mark.parametrize(
    ("how", "complaint"),
    [
        ("HANG", "has not answered within 1 seconds"),
        ("DIE", "broke off"),
        ("nonsense", "no JSON object"),
        ('{"Err": "no such share"}', "no such share"),
        ("{}", "lies at None"),
        ('{"Mountpoint": "relative"}', "lies at 'relative'"),
        ('{"Mountpoint": "/no/such/place"}', "lies at '/no/such/place'"),
        ('{"Mountpoint": 7}', "lies at 7"),
    ],
)
def test_plugin_that_breaks_at_the_start_leaves_the_container_as_it_was(
    engine: Engine, plugin: Plugin, how: str, complaint: str
) -> None:
    container = made(engine)
    plugin.misbehave("Mount", how)
    with pytest.raises(PluginError) as caught:
        container.start()
    assert complaint in str(caught.value)
    assert container.status == "created"
    assert os.listdir(engine.paths.volume_claims) == []
    assert os.listdir(engine.paths.running) == []
    if how != "DIE":
        assert plugin.calls("Mount", "Unmount") == ["Mount", "Unmount"]  # it may have mounted before it broke
        plugin.behave("Mount")
        container.start()


def test_plugin_that_is_gone_at_the_end_does_not_hold_up_the_end(
    engine: Engine, plugin: Plugin, capfd: pytest.CaptureFixture[str]
) -> None:
    container = made(engine)
    container.start()
    plugin.process.kill()
    plugin.process.wait()
    container.remove(force=True)
    assert "VolumeDriver.Unmount" in capfd.readouterr().err
    assert os.listdir(engine.paths.volume_claims) == []
    assert engine.containers.list(all=True) == []


def test_volume_whose_plugin_is_gone_goes_by_force_alone(engine: Engine, plugin: Plugin) -> None:
    engine.volumes.create("far", driver="testing")
    plugin.process.kill()
    plugin.process.wait()
    with pytest.raises(PluginError):
        engine.volumes.remove("far")
    engine.volumes.remove("far", force=True)
    assert [*engine.volumes.store.list()] == []


def test_plugin_that_hangs_leaves_the_list_of_the_others(engine: Engine, plugin: Plugin) -> None:
    engine.volumes.create("mine")
    plugin.misbehave("List", "HANG")
    told: list[tuple[str, EngineError]] = []
    assert [volume.name for volume in engine.volumes.list(lambda *said: told.append(said))] == ["mine"]
    assert [name for name, _error in told] == ["testing"]


def test_plugin_that_starts_late_is_waited_for(engine: Engine, directory: str, tmp_path: Path) -> None:
    import socket
    import threading

    path = f"{directory}/testing.sock"
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(path)  # nobody listens
    dead.close()
    with volume_plugin.running(str(tmp_path / "other"), f"{tmp_path}/other.sock"):
        threading.Timer(0.3, lambda: os.replace(f"{tmp_path}/other.sock", path)).start()
        assert engine.volumes.create("far", driver="testing").driver == "testing"


def test_name_is_one_drivers(engine: Engine, plugin: Plugin) -> None:
    engine.volumes.create("far")
    with pytest.raises(ConflictError, match="conflict: volume name must be unique"):
        engine.volumes.create("far", driver="testing")
    with pytest.raises(ConflictError, match="conflict: volume name must be unique"):
        made(engine)
    assert plugin.calls("Create") == []
