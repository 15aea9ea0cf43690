"""Images whose files and config were made to break the engine: one clear error, or nothing happens."""

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.engines import Ran, add_image, run, sh
from toolkit.core.errors import EngineError, InvalidError, StartError
from toolkit.engine.engine import Engine

pytestmark = pytest.mark.needs("root", "overlay", "busybox")

# The config


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"Env": ["A\0B=1"]}, "null byte in Env"),
        ({"Cmd": ["sh\0"]}, "null byte in Cmd"),
        ({"Entrypoint": ["/bin/sh", "\0"]}, "null byte in Entrypoint"),
        ({"WorkingDir": "/a\0b"}, "null byte in WorkingDir"),
        ({"User": "0\0"}, "null byte in User"),
        ({"Env": ["=x"]}, "a variable without a name in Env"),
        ({"Env": [""]}, "a variable without a name in Env"),
        ({"Env": 5}, r"`\$.Env`"),
        ({"Env": [None]}, r"`\$.Env\[0\]`"),
        ({"Cmd": [5]}, r"`\$.Cmd\[0\]`"),
        ({"Entrypoint": {"a": "b"}}, r"`\$.Entrypoint`"),
        ({"User": 0}, r"`\$.User`"),
        ({"Labels": {"a": 5}}, r"`\$.Labels"),
        ({"StopSignal": 9}, r"`\$.StopSignal`"),
        ({"Healthcheck": {"Test": "true"}}, r"`\$.Healthcheck.Test`"),
        ({"Volumes": ["/x"]}, r"`\$.Volumes`"),
    ],
    ids=str,
)
def test_config_that_no_program_could_be_given_is_refused_with_its_path(
    engine: Engine, busybox_tree: str, config: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidError, match="invalid image config: .*" + words):
        add_image(engine.images.store, "hostile", busybox_tree, **config)


def test_config_nested_deeper_than_python_can_follow_is_refused(engine: Engine, busybox_tree: str) -> None:
    from toolkit.image.manifest import parse_config, parse_manifest

    deep = b'{"config": {"x": ' + b"[" * 200_000
    for parse in (parse_config, parse_manifest):
        with pytest.raises(InvalidError, match="nested too deeply"):
            parse(deep)


def test_command_that_is_a_string_is_a_list_of_one(engine: Engine, busybox_tree: str) -> None:
    add_image(engine.images.store, "string", busybox_tree, Cmd="pwd")
    assert run(engine, image="string").out == "/\n"


# The files that the engine itself reads


Change = Callable[[Path], None]


def _with(engine: Engine, busybox_tree: str, tree: Path, change: Change) -> None:
    os.system(f"cp -al {busybox_tree} {tree}")  # noqa: S605 - our own paths
    for name in ("passwd", "group"):
        (tree / "etc" / name).unlink()
    change(tree / "etc")
    add_image(engine.images.store, "hostile", str(tree))


def _huge(etc: Path) -> None:
    with (etc / "passwd").open("w") as file:
        file.write("root:x:0:0::/root:/bin/sh\n")
        file.truncate(64 << 20)
    (etc / "group").write_text("x:x:1:root\n" * 100_000)


def _fifos(etc: Path) -> None:
    os.mkfifo(etc / "passwd")
    os.mkfifo(etc / "group")


def _devices(etc: Path) -> None:
    os.mknod(etc / "passwd", stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero has no end
    os.mknod(etc / "group", stat.S_IFCHR | 0o666, os.makedev(5, 0))


def _loops(etc: Path) -> None:
    (etc / "passwd").symlink_to("group")
    (etc / "group").symlink_to("../etc/passwd")


def _chain(etc: Path) -> None:
    for number in range(60):
        (etc / f"l{number}").symlink_to(f"l{number + 1}")
    (etc / "l60").write_text("root:x:7:7::/:/bin/sh\n")
    (etc / "passwd").symlink_to("l0")


def _directories(etc: Path) -> None:
    (etc / "passwd").mkdir()
    (etc / "group").mkdir()


def _garbage(etc: Path) -> None:
    (etc / "passwd").write_bytes(
        bytes(range(256)) * 100 + b"\n:::::::\nroot:x:-1:-1:::\nroot:x:" + b"9" * 5000 + b":0:::\n"
    )
    (etc / "group").write_bytes(b"wheel:x:" + b"9" * 5000 + b":root\n" + b":" * 100_000)


@pytest.mark.parametrize("change", [_huge, _fifos, _devices, _loops, _chain, _directories, _garbage])
def test_files_of_users_that_are_no_such_files_are_none(
    engine: Engine, busybox_tree: str, tmp_path: Path, change: Change
) -> None:
    _with(engine, busybox_tree, tmp_path / "tree", change)
    assert run(engine, "true", image="hostile").code == 0
    with pytest.raises(InvalidError, match="unable to find user mallory"):
        run(engine, "id", image="hostile", user="mallory")
    with pytest.raises(InvalidError, match="unable to find group mallory"):
        run(engine, "id", image="hostile", group_add=("mallory",))


def _null_home(etc: Path) -> None:
    (etc / "passwd").write_text("root:x:0:0::/ro\0ot:/bin/sh\nmallory:x:1:1::/\0:/bin/sh\n")


def test_home_with_a_null_byte_is_no_home(engine: Engine, busybox_tree: str, tmp_path: Path) -> None:
    _with(engine, busybox_tree, tmp_path / "tree", _null_home)
    assert sh(engine, "echo $HOME", image="hostile").out == "/\n"


def _line_in_a_field(etc: Path) -> None:
    # What a user can write in his own GECOS field is not one line more.
    (etc / "passwd").write_text(
        "mallory:x:1000:1000:\x0bmallory2:x:0:0::/:\u2028mallory3:x:0:0::/:/bin/sh:/home:/bin/sh\n"
    )


@pytest.mark.parametrize("name", ["mallory2", "mallory3"])
def test_only_a_newline_ends_a_line_of_passwd(engine: Engine, busybox_tree: str, tmp_path: Path, name: str) -> None:
    _with(engine, busybox_tree, tmp_path / "tree", _line_in_a_field)
    with pytest.raises(InvalidError, match=f"unable to find user {name}"):
        run(engine, "id", image="hostile", user=name)


def test_user_of_five_thousand_digits_is_refused(engine: Engine, busybox_tree: str) -> None:
    add_image(engine.images.store, "hostile", busybox_tree, User="9" * 5000)
    with pytest.raises(InvalidError, match="unable to find user 9999"):
        run(engine, "true", image="hostile")


def test_more_groups_than_a_process_can_be_in_is_one_clear_error(
    engine: Engine, busybox_tree: str, tmp_path: Path
) -> None:
    def many(etc: Path) -> None:
        (etc / "passwd").write_text("m:x:1000:1000::/:/bin/sh\n")
        (etc / "group").write_text("".join(f":x:{n}:m\n" for n in range(1, 66_000)))

    _with(engine, busybox_tree, tmp_path / "tree", many)
    with pytest.raises((InvalidError, StartError), match="groups"):
        run(engine, "true", image="hostile", user="m")


# Working directories


@pytest.mark.parametrize(
    "directory", ["/proc/self/fd/0/../../..", "/proc/1/root", "/proc/self/cwd/..", "/" + "d/" * 3000, "/" + "n" * 300]
)
def test_working_directory_is_inside_or_an_error(engine: Engine, busybox_tree: str, directory: str) -> None:
    add_image(engine.images.store, "hostile", busybox_tree, WorkingDir=directory)
    ran: Ran | None = None
    try:
        ran = sh(engine, "pwd; ls -di / ./../../../../../../..", image="hostile")
    except EngineError:
        return
    inside, outside = (line.split()[0] for line in ran.out.splitlines()[1:])
    assert inside == outside
