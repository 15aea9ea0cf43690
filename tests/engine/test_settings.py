"""The configuration file: what it says, and that it is obeyed."""

import json
import pathlib
from typing import Any

import pytest

from tests.registry.test_command import container
from tests.support.engines import BUSYBOX, sh
from tests.support.oci import make_image, push
from tests.support.registries import StartRegistry
from tests.support.session import EngineRoot
from toolkit.core.errors import InvalidError
from toolkit.engine import settings
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions, Ulimit
from toolkit.engine.settings import Settings


def _written(tmp_path: pathlib.Path, document: Any) -> str:
    path = tmp_path / "daemon.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return str(path)


def test_file_that_is_not_there_says_nothing(tmp_path: pathlib.Path) -> None:
    assert settings.read(str(tmp_path / "none")) == Settings()
    options = ContainerOptions("x")
    assert settings.applied(Settings(), options) is options


def test_every_directive_is_read(tmp_path: pathlib.Path) -> None:
    document = {
        "registry-mirrors": ["https://m.example"],
        "insecure-registries": ["r.example:5000", "10.0.0.0/8"],
        "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 5, "Hard": 10}},
        "default-shm-size": "128m",
        "default-ipc-mode": "shareable",
        "default-cgroupns-mode": "host",
        "cgroup-parent": "/zoo",
        "no-new-privileges": True,
        "runtimes": {"crun": {"path": "/usr/bin/crun", "runtimeArgs": ["--debug"]}},
        "default-runtime": "crun",
        "log-driver": "json-file",
        "log-opts": {"max-size": "10m"},
    }
    assert settings.read(_written(tmp_path, document)) == Settings(
        registry_mirrors=("https://m.example",),
        insecure_registries=("r.example:5000", "10.0.0.0/8"),
        default_ulimits=(Ulimit("nofile", 5, 10),),
        default_shm_size=128 << 20,
        default_ipc_mode="shareable",
        default_cgroupns_mode="host",
        cgroup_parent="/zoo",
        no_new_privileges=True,
        runtimes=document["runtimes"],  # type: ignore[arg-type]  # as it is
        default_runtime="crun",
        log_driver="json-file",
        log_opts={"max-size": "10m"},
    )


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ("{", "unable to use the configuration file"),
        ("[]", "it is no JSON object"),
        ({"bip": "1"}, "the following directives don't match any configuration option: bip"),
        ({"registry-mirrors": "x"}, "invalid value of registry-mirrors"),
        ({"insecure-registries": [1]}, "invalid value of insecure-registries"),
        ({"default-ulimits": {"nofile": 5}}, "invalid value of default-ulimits"),
        ({"default-ulimits": {"nofile": {"Soft": 5}}}, "invalid value of default-ulimits"),
        ({"default-shm-size": "x"}, "invalid value of default-shm-size"),
        ({"default-shm-size": True}, "invalid value of default-shm-size"),
        ({"no-new-privileges": "yes"}, "invalid value of no-new-privileges"),
        ({"runtimes": {"x": {}}}, "invalid value of runtimes"),
        ({"log-opts": {"a": 1}}, "invalid value of log-opts"),
    ],
)
def test_file_that_means_nothing_is_refused_by_name(tmp_path: pathlib.Path, document: Any, text: str) -> None:
    path = _written(tmp_path, document)
    with pytest.raises(InvalidError, match=text) as caught:
        settings.read(path)
    assert path in str(caught.value)


@pytest.mark.needs("root", "overlay", "busybox")
def test_containers_that_do_not_say_are_as_the_file_says(engine: Engine, tmp_path: pathlib.Path) -> None:
    engine.config_file = _written(
        tmp_path,
        {
            "default-ulimits": {"nofile": {"Soft": 77, "Hard": 99}},
            "default-shm-size": "2m",
            "no-new-privileges": True,
            "default-ipc-mode": "shareable",
            "log-driver": "local",
            "log-opts": {"max-size": "1m", "max-file": "3"},
        },
    )
    script = "ulimit -Sn; ulimit -Hn; df -k /dev/shm | tail -1; grep NoNewPrivs /proc/self/status"
    assert sh(engine, script).out.split()[:4] == ["77", "99", "shm", "2048"]
    assert sh(engine, script).out.split()[-1] == "1"
    assert _log_config(engine) == {"Type": "local", "Config": {"max-size": "1m", "max-file": "3"}}
    assert _log_config(engine, log_options={"max-file": "7"})["Config"] == {"max-size": "1m", "max-file": "7"}
    assert _log_config(engine, log_driver="json-file") == {"Type": "json-file", "Config": {}}
    assert engine.info()["LoggingDriver"] == "local"
    other = sh(engine, script, ulimits=(Ulimit("nofile", 5, 6),), security_opt=("no-new-privileges=false",))
    assert (other.out.split()[:2], other.out.split()[-1]) == (["5", "6"], "0")
    made = engine.containers.create(ContainerOptions(BUSYBOX, ("true",)))
    assert made.inspect()["HostConfig"]["IpcMode"] == "shareable"


def _log_config(engine: Engine, **options: Any) -> Any:
    made = engine.containers.create(ContainerOptions(BUSYBOX, ("true",), **options))
    return made.inspect()["HostConfig"]["LogConfig"]


@pytest.mark.needs("root", "docker-registry")
def test_run_asks_the_mirror_for_an_image_of_docker_hub(
    start_registry: StartRegistry, engine_root: EngineRoot, tmp_path: pathlib.Path
) -> None:
    registry = start_registry()
    push(registry.host, "library/only-there", "latest", make_image({"a": b"1"}))
    path = _written(tmp_path, {"registry-mirrors": [f"http://{registry.host}"]})
    done = container(engine_root, "--config-file", path, "create", "only-there", "/x")
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[:2] == [
        "Unable to find image 'only-there:latest' locally",
        "latest: Pulling from library/only-there",
    ]
    broken = _written(tmp_path, "{")
    assert (
        "unable to use the configuration file"
        in container(engine_root, "--config-file", broken, "create", "only-there", "/x").stderr
    )
