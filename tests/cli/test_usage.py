"""Wrong use, help and versions: what a user sees before anything is done."""

import io
import os
from typing import Any

import pytest

import toolkit.cli
from toolkit.cli import grammar


def complain(words: list[str]) -> Any:
    """Run the command in this process and return its exit code and what it wrote to stderr."""
    out, err = io.StringIO(), io.StringIO()
    outcome = toolkit.cli.run(words, stdout=out, stderr=err)
    assert out.getvalue() == ""
    return outcome.exit_code, err.getvalue()


@pytest.mark.parametrize(
    ("words", "message", "exit_code"),
    [
        (["run"], "'container run' requires at least 1 argument", 1),
        (["exec"], "'container exec' requires at least 2 arguments", 1),
        (["exec", "x"], "'container exec' requires at least 2 arguments", 1),
        (["logs"], "'container logs' requires 1 argument", 1),
        (["logs", "a", "b"], "'container logs' requires 1 argument", 1),
        (["rm"], "'container rm' requires at least 1 argument", 1),
        (["ps", "a"], "'container ps' accepts no arguments", 1),
        (["container", "ls", "a"], "'container container ls' accepts no arguments", 1),
        (["images", "a", "b"], "'container images' requires at most 1 argument", 1),
        (["tag", "a"], "'container tag' requires 2 arguments", 1),
        (["pull"], "'container pull' requires 1 argument", 1),
        (["ps", "--zork"], "unknown flag: --zork", 125),
        (
            ["ps", "-f", "x"],
            'invalid argument "x" for "-f, --filter" flag: bad format of filter (expected name=value)',
            125,
        ),
        (
            ["inspect", "--type", "x", "y"],
            (
                'invalid argument "x" for "--type" flag: unknown type: "x": must be one of "container", "image", '
                '"network", "volume"'
            ),
            125,
        ),
    ],
)
def test_wrong_use_is_said_in_dockers_words(words: list[str], message: str, exit_code: int) -> None:
    path, _ = grammar.find(words)
    assert complain(words) == (exit_code, f"container: {message}\nSee 'container {path} --help'.\n")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["foo"], "container: 'foo' is not a container command.\nSee 'container --help'.\n"),
        (
            ["imges"],
            (
                "container: 'imges' is not a container command. Did you mean 'container images'?\n"
                "See 'container --help'.\n"
            ),
        ),
        (["image", "foo"], "container: 'foo' is not a container image command.\nSee 'container image --help'.\n"),
        (
            ["image", "lss"],
            (
                "container: 'lss' is not a container image command. Did you mean 'container image ls'?\n"
                "See 'container image --help'.\n"
            ),
        ),
    ],
)
def test_unknown_command_gets_a_suggestion_and_exit_code_1(words: list[str], text: str) -> None:
    assert complain(words) == (1, text)


def test_unknown_global_flag() -> None:
    assert complain(["--zork", "ps"]) == (125, "container: unknown flag: --zork\nSee 'container --help'.\n")


def say(words: list[str]) -> Any:
    out, err = io.StringIO(), io.StringIO()
    outcome = toolkit.cli.run(words, stdout=out, stderr=err)
    assert err.getvalue() == ""
    assert outcome.exit_code == 0
    return out.getvalue()


def test_alone_it_prints_its_help() -> None:
    assert say([]) == say(["--help"]) == say(["help"]) == say(["-h"])
    assert say([]).startswith("Usage:  container [OPTIONS] COMMAND\n")


@pytest.mark.parametrize("entry", grammar.ENTRIES, ids=lambda entry: entry.paths[0])
def test_every_path_of_every_command_has_help_with_an_example(entry: grammar.Entry) -> None:
    for path in entry.paths:
        text = say([*path.split(), "--help"])
        assert text.startswith(f"Usage:  container {path}")
        assert "\nExample:\n  container " in text
        assert entry.summary in text
        usage, _, example = text.partition("\nExample:\n")
        assert all(len(line) <= 80 for line in usage.splitlines())
        for line in example.splitlines():
            assert grammar.find(line.split()[1:])[1] is not None
    assert say(["help", *entry.paths[0].split()]) == say([*entry.paths[0].split(), "--help"])


@pytest.mark.parametrize("group", list(grammar.GROUPS))
def test_group_alone_lists_its_commands(group: str) -> None:
    assert say([group]) == say([group, "--help"])
    assert say([group]).startswith(f"Usage:  container {group} COMMAND\n")


def test_version_flag() -> None:
    assert say(["-v"]) == say(["--version"]) == f"container version {toolkit.__version__}\n"


def test_version_command_names_python_and_kernel() -> None:
    assert os.uname().release in say(["version"])
    assert say(["version", "--format", "{{.Version}}"]) == f"{toolkit.__version__}\n"
