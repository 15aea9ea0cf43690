"""Log drivers on real containers: rotation while somebody follows, local's defaults, none."""

import os

import pytest

from tests.support.engines import BUSYBOX
from toolkit.core.errors import ConflictError, EngineError
from toolkit.engine import logdriver
from toolkit.engine.container import Container
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions

pytestmark = pytest.mark.needs("root", "overlay", "busybox")


def _started(engine: Engine, script: str, **options: object) -> Container:
    container = engine.containers.create(ContainerOptions(BUSYBOX, ("sh", "-c", script), **options))  # type: ignore[arg-type]  # a test's words
    container.start()
    return container


def test_log_is_turned_and_followed_to_its_end(engine: Engine) -> None:
    script = "i=0; while [ $i -lt 200 ]; do echo $i; i=$((i+1)); usleep 1000; done"
    container = _started(engine, script, log_options={"max-size": "1k", "max-file": "50"})
    followed = [int(line.text) for line in container.logs(follow=True)]
    assert followed == list(range(200))
    assert [int(line.text) for line in container.logs()] == list(range(200))
    assert os.path.exists(f"{engine.paths.log(container.id)}.5")


def test_oldest_lines_go(engine: Engine) -> None:
    container = _started(engine, "seq 1 500", log_options={"max-size": "1k", "max-file": "2"})
    container.wait()
    found = [int(line.text) for line in container.logs()]
    assert found == list(range(found[0], 501))
    assert found[0] > 400
    assert not os.path.exists(f"{engine.paths.log(container.id)}.2")


def test_restarted_container_goes_on_in_its_log(engine: Engine) -> None:
    container = _started(engine, "echo up", log_options={"max-size": "10m"})
    container.wait()
    container.start()
    container.wait()
    assert [line.text for line in container.logs()] == ["up\n", "up\n"]


def test_none_keeps_nothing_and_says_so(engine: Engine) -> None:
    container = _started(engine, "echo x", log_driver="none")
    container.wait()
    with pytest.raises(ConflictError, match="configured logging driver does not support reading"):
        container.logs()
    assert not os.path.exists(engine.paths.log(container.id))


def test_labels_and_environment_are_added_where_they_were_asked_for(engine: Engine) -> None:
    container = _started(
        engine,
        "echo x",
        labels={"tier": "front", "other": "x"},
        env=("MODE=test",),
        log_options={"labels": "tier,absent", "env-regex": "^MO", "tag": "web"},
    )
    container.wait()
    (line,) = container.logs()
    assert line.attributes == {"tier": "front", "MODE": "test", "tag": "web"}
    config = container.inspect()["HostConfig"]["LogConfig"]
    assert (config["Type"], config["Config"]["tag"]) == ("json-file", "web")


def test_defaults_and_sizes_are_dockers() -> None:
    assert logdriver.limits("json-file", {}) == (0, 1)
    assert logdriver.limits("local", {}) == (20_000_000, 5)
    assert logdriver.limits("json-file", {"max-size": "1.5k", "max-file": "3"}) == (1500, 3)
    assert logdriver.limits("json-file", {"max-size": "10MB"}) == (10_000_000, 1)


@pytest.mark.parametrize(
    ("driver", "given", "words"),
    [
        ("syslog", {}, "the log driver syslog is not built"),
        ("foo", {}, "no log driver named 'foo' is registered"),
        ("json-file", {"foo": "1"}, "unknown log opt 'foo' for json-file log driver"),
        ("json-file", {"max-size": "-1"}, "max-size must be a positive number"),
        ("json-file", {"max-size": "big"}, "invalid size: 'big'"),
        ("json-file", {"max-file": "0"}, "max-file cannot be less than 1"),
        ("json-file", {"max-file": "x"}, "invalid max-file: 'x'"),
        ("local", {"compress": "true"}, "are not compressed"),
        ("json-file", {"tag": "{{.ID}}"}, "templates in a log tag are not built"),
    ],
)
def test_what_means_nothing_or_is_not_built_is_refused(
    engine: Engine, driver: str, given: dict[str, str], words: str
) -> None:
    with pytest.raises(EngineError, match=words):
        _started(engine, "true", log_driver=driver, log_options=given)
