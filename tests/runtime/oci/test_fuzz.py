"""Configs made at random from the schema, and good ones with a bad piece: never a traceback, never a rest."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.bundles import Bundle, Runtime
from toolkit.core.errors import EngineError, InvalidError
from toolkit.runtime import plan, steps, validate
from toolkit.runtime.oci.features import template
from toolkit.runtime.validate import schema

_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
_PATHS = st.sampled_from(["/", "/tmp", "/a/b", "rel", "", "/etc/../..", "/\0", "/ü"])
_MAPPINGS = st.lists(
    st.fixed_dictionaries({"containerID": st.integers(0, 5), "hostID": st.integers(0, 5), "size": st.integers(0, 3)}),
    max_size=3,
)
_OPTIONS = st.lists(
    st.sampled_from(
        ["bind", "rbind", "ro", "rro", "rshared", "idmap", "tmpcopyup", "size=1m", "", "mode=x", "remount"]
    ),
    max_size=4,
)
_CONFIGS = st.fixed_dictionaries(
    {
        "ociVersion": st.sampled_from(["1.2.1", "1.0.2-dev", "0.9", "x"]),
        "process": st.fixed_dictionaries(
            {"cwd": _PATHS, "args": st.lists(st.text(max_size=5), max_size=2)},
            optional={
                "terminal": st.booleans(),
                "env": st.lists(st.text(max_size=5), max_size=2),
                "user": st.dictionaries(st.sampled_from(["uid", "gid", "umask"]), st.integers(-1, 1 << 33)),
                "noNewPrivileges": st.booleans(),
                "oomScoreAdj": st.integers(-2000, 2000),
                "rlimits": st.lists(
                    st.fixed_dictionaries(
                        {
                            "type": st.sampled_from(["RLIMIT_NOFILE", "RLIMIT_CORE", "x"]),
                            "soft": st.integers(-1, 9),
                            "hard": st.integers(-1, 9),
                        }
                    ),
                    max_size=2,
                ),
                "scheduler": st.fixed_dictionaries({"policy": st.sampled_from(["SCHED_OTHER", "SCHED_FIFO", "x"])}),
                "capabilities": _JSON,
            },
        ),
        "root": st.fixed_dictionaries({"path": _PATHS}, optional={"readonly": st.booleans()}),
    },
    optional={
        "hostname": st.text(max_size=70),
        "mounts": st.lists(
            st.fixed_dictionaries(
                {"destination": _PATHS},
                optional={
                    "type": st.sampled_from(["bind", "tmpfs", "cgroup", "proc", ""]),
                    "source": _PATHS,
                    "options": _OPTIONS,
                    "uidMappings": _MAPPINGS,
                    "gidMappings": _MAPPINGS,
                },
            ),
            max_size=3,
        ),
        "hooks": st.dictionaries(
            st.sampled_from([*schema.HOOKS, "x"]),
            st.lists(st.fixed_dictionaries({"path": _PATHS}, optional={"timeout": st.integers(-1, 3)}), max_size=2),
        ),
        "linux": st.fixed_dictionaries(
            {},
            optional={
                "namespaces": st.lists(
                    st.fixed_dictionaries(
                        {"type": st.sampled_from([*schema.NAMESPACES, "x"])}, optional={"path": _PATHS}
                    ),
                    max_size=8,
                ),
                "uidMappings": _MAPPINGS,
                "gidMappings": _MAPPINGS,
                "timeOffsets": st.dictionaries(
                    st.sampled_from(["boottime", "monotonic", "x"]), st.dictionaries(st.just("secs"), st.integers())
                ),
                "sysctl": st.dictionaries(st.sampled_from(["net.x", "kernel.msgmax", "vm.y", ""]), st.text(max_size=3)),
                "rootfsPropagation": st.sampled_from(["", "shared", "rslave", "x"]),
                "resources": _JSON,
                "seccomp": _JSON,
                "maskedPaths": st.lists(_PATHS, max_size=2),
                "devices": st.lists(
                    st.fixed_dictionaries(
                        {"type": st.sampled_from(["c", "p", "x"]), "path": _PATHS},
                        optional={"major": st.integers(-1, 9), "minor": st.integers(-1, 9)},
                    ),
                    max_size=2,
                ),
            },
        ),
    },
)


def _is_refused_or_planned(document: Any) -> None:
    message = ""
    try:
        config = validate.config(document)
    except InvalidError as exc:
        message = str(exc)
    if message:
        assert message.isprintable()
        assert re.split(r"[.:\[]", message)[0] in {*document, "config", "ociVersion", "process", "root"}
        return
    try:
        made = plan.plan(config, creation=plan.Creation("/fifo", "{}"))
    except EngineError:
        return  # such as a device whose type only the making knows to be wrong: said, not crashed
    assert isinstance(made[-1], steps.Exec)
    assert all(step.calls() for step in made if not isinstance(step, (steps.BoundCapabilities, steps.SetIoPriority)))


@settings(max_examples=400, deadline=None)
@given(_CONFIGS)
def test_config_of_the_schema_is_refused_or_planned(document: dict[str, Any]) -> None:
    _is_refused_or_planned(document)


@st.composite
def _spoilt(draw: st.DrawFn) -> dict[str, Any]:
    """Return a config that is good but for one place, at any depth."""
    document: Any = template(is_rootless=draw(st.booleans()))
    place = document
    while True:
        keys = list(range(len(place))) if isinstance(place, list) else list(place)
        key = draw(st.sampled_from(keys))
        inner = place[key]
        if not isinstance(inner, (dict, list)) or not inner or draw(st.integers(0, 3)) == 0:
            place[key] = draw(_JSON)
            found: dict[str, Any] = document
            return found
        place = inner


@settings(max_examples=400, deadline=None)
@given(_spoilt())
def test_config_with_a_bad_piece_is_refused_or_planned(document: dict[str, Any]) -> None:
    _is_refused_or_planned(document)


@pytest.mark.needs("root", "busybox")
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(document=_spoilt())
def test_create_of_a_bad_config_leaves_nothing(ours: Runtime, bundle: Bundle, document: dict[str, Any]) -> None:
    (bundle.path / "config.json").write_text(json.dumps(document))
    ident = f"toolkit-test-{os.getpid()}-{os.urandom(4).hex()}"
    done = ours("create", "--bundle", str(bundle.path), ident)
    assert "Traceback" not in done.err
    if done.code == 0:
        assert ours("delete", "--force", ident).code == 0
    else:
        assert done.err.count("\n") >= 1
        assert done.code == 1
    assert ours("list", "-q").out == ""
    assert str(bundle.path) not in Path("/proc/self/mountinfo").read_text()
    assert not [each for each in _groups() if ident in each]


def _groups() -> list[str]:
    return [
        f"{root}/{name}" for root, names, _ in os.walk("/sys/fs/cgroup") for name in names if "toolkit-test" in name
    ]
