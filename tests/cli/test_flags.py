"""The rules of pflag, as docker's users know them; messages are docker 28.2.2's own."""

from typing import Any

import pytest

from toolkit.cli.flags import BOOL, INT, LIST, STRING, Flag, HelpRequestedError, UsageError, parse

FLAGS = (
    Flag("interactive", "i", BOOL, ""),
    Flag("tty", "t", BOOL, ""),
    Flag("detach", "d", BOOL, ""),
    Flag("rm", "", BOOL, ""),
    Flag("env", "e", LIST, ""),
    Flag("name", "", STRING, ""),
    Flag("network", "", STRING, "", also="net"),
    Flag("cpu-shares", "c", INT, ""),
    Flag("last", "n", INT, "", default=-1),
)
FLAGS_WITH_H = (*FLAGS, Flag("hostname", "h", STRING, ""))


@pytest.mark.parametrize(
    ("line", "expected", "args"),
    [
        ("-it x", {"interactive": True, "tty": True}, ["x"]),
        ("-dit x", {"detach": True, "interactive": True, "tty": True}, ["x"]),
        ("-eA=b x", {"env": ("A=b",)}, ["x"]),
        ("-e=A=b x", {"env": ("A=b",)}, ["x"]),
        ("-e A=b -e C x", {"env": ("A=b", "C")}, ["x"]),
        ("--env=A=b --env C=d x", {"env": ("A=b", "C=d")}, ["x"]),
        ("-iteA=b x", {"interactive": True, "tty": True, "env": ("A=b",)}, ["x"]),
        ("-ite A=b x", {"interactive": True, "tty": True, "env": ("A=b",)}, ["x"]),
        ("--rm=false x", {"rm": False}, ["x"]),
        ("--rm=0 x", {"rm": False}, ["x"]),
        ("--rm=T x", {"rm": True}, ["x"]),
        ("--rm false", {"rm": True}, ["false"]),
        ("-i=false -t=true x", {"interactive": False, "tty": True}, ["x"]),
        ("-it=false x", {"interactive": True, "tty": False}, ["x"]),
        ("--name a --name b x", {"name": "b"}, ["x"]),
        ("--name= x", {"name": ""}, ["x"]),
        ("--name -x y", {"name": "-x"}, ["y"]),
        ("--name -- y", {"name": "--"}, ["y"]),
        ("--net host x", {"network": "host"}, ["x"]),
        ("-c512 x", {"cpu-shares": 512}, ["x"]),
        ("-c -5 x", {"cpu-shares": -5}, ["x"]),
        ("-c 0x10 x", {"cpu-shares": 16}, ["x"]),
        ("-c 010 x", {"cpu-shares": 8}, ["x"]),
        ("-- -x y", {}, ["-x", "y"]),
        ("-i -- x", {"interactive": True}, ["x"]),
        ("- x", {}, ["-", "x"]),
        ("x -i --rm", {}, ["x", "-i", "--rm"]),
        ("x -- y", {}, ["x", "--", "y"]),
        ("x --help", {}, ["x", "--help"]),
        ("", {}, []),
    ],
)
def test_docker_idiom_means_what_docker_makes_of_it(line: str, expected: dict[str, Any], args: list[str]) -> None:
    parsed = parse(FLAGS, line.split(), interspersed=False)
    given = {name: parsed[name] for name in parsed.given}
    assert given == expected
    assert list(parsed.args) == args


@pytest.mark.parametrize(
    ("line", "expected", "args"),
    [
        ("a -i b --rm", {"interactive": True, "rm": True}, ["a", "b"]),
        ("a -- -i", {}, ["a", "-i"]),
        ("a --name b c", {"name": "b"}, ["a", "c"]),
    ],
)
def test_flags_may_follow_arguments_where_the_command_says_so(
    line: str, expected: dict[str, Any], args: list[str]
) -> None:
    parsed = parse(FLAGS, line.split())
    assert {name: parsed[name] for name in parsed.given} == expected
    assert list(parsed.args) == args


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--nope"], "unknown flag: --nope"),
        (["--nope=1"], "unknown flag: --nope"),
        (["--nam", "x"], "unknown flag: --nam"),
        (["--Name", "x"], "unknown flag: --Name"),
        (["-Z"], "unknown shorthand flag: 'Z' in -Z"),
        (["-itZq"], "unknown shorthand flag: 'Z' in -Zq"),
        (["-e"], "flag needs an argument: 'e' in -e"),
        (["-ite"], "flag needs an argument: 'e' in -e"),
        (["--name"], "flag needs an argument: --name"),
        (["---x"], "bad flag syntax: ---x"),
        (["--=y"], "bad flag syntax: --=y"),
        (["--rm=x"], 'invalid argument "x" for "--rm" flag: strconv.ParseBool: parsing "x": invalid syntax'),
        (["--rm="], 'invalid argument "" for "--rm" flag: strconv.ParseBool: parsing "": invalid syntax'),
        (
            ["-it=maybe"],
            'invalid argument "maybe" for "-t, --tty" flag: strconv.ParseBool: parsing "maybe": invalid syntax',
        ),
        (
            ["-c", "1.5"],
            'invalid argument "1.5" for "-c, --cpu-shares" flag: strconv.ParseInt: parsing "1.5": invalid syntax',
        ),
        (
            ["-c", " 1"],
            'invalid argument " 1" for "-c, --cpu-shares" flag: strconv.ParseInt: parsing " 1": invalid syntax',
        ),
        (["-nx"], 'invalid argument "x" for "-n, --last" flag: strconv.ParseInt: parsing "x": invalid syntax'),
    ],
)
def test_bad_flag_is_refused_in_dockers_words(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(FLAGS, words, interspersed=False)
    assert str(caught.value) == message
    assert caught.value.exit_code == 125


@pytest.mark.parametrize(
    "words", [["--help"], ["-h"], ["-it", "--help", "x"], ["-ih"], ["--name", "x", "--help", "--nope"]]
)
def test_help_ends_the_parse(words: list[str]) -> None:
    with pytest.raises(HelpRequestedError):
        parse(FLAGS, words, interspersed=False)


def test_h_is_the_hostname_where_the_table_says_so() -> None:
    assert parse(FLAGS_WITH_H, ["-h", "web", "x"], interspersed=False)["hostname"] == "web"


def test_help_as_a_value_is_a_value() -> None:
    assert parse(FLAGS, ["--name", "--help", "x"], interspersed=False)["name"] == "--help"


def test_absent_flags_have_the_default_of_their_kind() -> None:
    parsed = parse(FLAGS, [])
    assert [parsed[flag.name] for flag in FLAGS] == [False, False, False, False, (), "", "", 0, -1]
    assert parsed.given == frozenset()
