"""Lists are laid out as docker lays them out; the expectations are docker 28.2.2's output for the same rows."""

from typing import Any

import pytest

from toolkit.cli.commands.ps import _COLUMNS, _HEADERS, _row, status_text
from toolkit.cli.table import align, clean, ellipsis, render_rows
from toolkit.core.errors import InvalidError

NOW_NS = 1_764_000_000_000_000_000
CREATED = "2025-11-24T15:58:00.000000000Z"


def document(
    name: str = "web",
    *,
    ident: str = "1",
    command: tuple[str, ...] = ("sh", "-c", "echo hello world"),
    image: str = "lab",
    labels: dict[str, str] | None = None,
    **state: Any,
) -> dict[str, Any]:
    return {
        "Id": ident * 64,
        "Created": CREATED,
        "Path": command[0],
        "Args": list(command[1:]),
        "Name": f"/{name}",
        "Image": "sha256:" + "0" * 64,
        "Config": {"Image": image, "Labels": labels},
        "State": {"Status": "running", "StartedAt": CREATED, "FinishedAt": CREATED, "ExitCode": 0, **state},
        "NetworkSettings": {"Networks": {}},
    }


def rows(*documents: Any, truncates: Any = True) -> Any:
    return [_row(one, now_ns=NOW_NS, truncates=truncates) for one in documents]


TWO = (
    document(labels={"a.b-c": "x", "z": ""}),
    document(
        "a_long_name_really",
        ident="2",
        command=("true",),
        image="localhost:5000/some/image:tag",
        Status="exited",
        FinishedAt="2025-11-24T13:00:00Z",
    ),
)


def test_ps_table_is_dockers() -> None:
    assert render_rows(rows(*TWO), _HEADERS, _COLUMNS) == (
        "CONTAINER ID   IMAGE                           COMMAND                  CREATED         STATUS"
        "                   PORTS     NAMES\n"
        '111111111111   lab                             "sh -c \'echo hello w…"   2 minutes ago   Up 2 minutes'
        "                       web\n"
        '222222222222   localhost:5000/some/image:tag   "true"                   2 minutes ago   Exited (0) 3 hours ago'
        "             a_long_name_really\n"
    )


def test_empty_table_has_only_its_heading() -> None:
    assert render_rows([], _HEADERS, _COLUMNS) == (
        "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n"
    )


def test_no_trunc_shows_all_of_id_and_command() -> None:
    text = render_rows(rows(TWO[0], truncates=False), _HEADERS, _COLUMNS)
    assert "1" * 64 in text
    assert "\"sh -c 'echo hello world'\"" in text


@pytest.mark.parametrize(
    ("template", "printed"),
    [
        ("{{.Names}}", "web\na_long_name_really\n"),
        ("{{.Names}}\\t{{.Command}}", 'web\t"sh -c \'echo hello w…"\na_long_name_really\t"true"\n'),
        (
            "table {{.Names}}\\t{{.ID}}",
            "NAMES                CONTAINER ID\nweb                  111111111111\na_long_name_really   222222222222\n",
        ),
        (
            'table {{.Names}}\\t{{.Label "a.b-c"}}\\t{{.ID | upper}}\\t{{json .Image}}',
            (
                "NAMES                b c       CONTAINER ID   IMAGE\n"
                'web                  x         111111111111   "lab"\n'
                'a_long_name_really             222222222222   "localhost:5000/some/image:tag"\n'
            ),
        ),
        (
            "table {{.Names}} x {{.ID}}",
            "NAMES x CONTAINER ID\nweb x 111111111111\na_long_name_really x 222222222222\n",
        ),
        ('{{.Label "z"}}|{{.Label "nope"}}|{{.Labels}}', "||a.b-c=x,z=\n||\n"),
        ("{{json .Labels}}", '"a.b-c=x,z="\n""\n'),
    ],
)
def test_format(template: str, printed: str) -> None:
    assert render_rows(rows(*TWO), _HEADERS, _COLUMNS, template) == printed


def test_format_table_is_the_default_table() -> None:
    assert render_rows(rows(*TWO), _HEADERS, _COLUMNS, "table") == render_rows(rows(*TWO), _HEADERS, _COLUMNS)


def test_json_has_dockers_fields_in_dockers_order() -> None:
    line = render_rows(rows(TWO[1]), _HEADERS, _COLUMNS, "json")
    assert line.startswith(
        '{"Command":"\\"true\\"","CreatedAt":"2025-11-24 15:58:00 +0000 UTC","ID":"222222222222",'
        '"Image":"localhost:5000/some/image:tag","Labels":"","LocalVolumes":"0","Mounts":"",'
        '"Names":"a_long_name_really","Networks":""'
    )


def test_table_template_over_no_rows_prints_the_heading() -> None:
    assert render_rows([], _HEADERS, _COLUMNS, 'table {{.ID}}\\t{{.Label "a.b"}}') == "CONTAINER ID   b\n"


@pytest.mark.parametrize(
    ("template", "message"),
    [
        ("{{.Foo}}", 'template: :1:2: executing "" at <.Foo>: map has no entry for key "Foo"'),
        ("{{.Foo", "template: :1: unclosed action"),
    ],
)
def test_bad_format_is_an_error(template: str, message: str) -> None:
    with pytest.raises(InvalidError) as caught:
        render_rows(rows(*TWO), _HEADERS, _COLUMNS, template)
    assert str(caught.value) == f"failed to parse template: {message}"


@pytest.mark.parametrize(
    ("state", "text"),
    [
        ({"Status": "created"}, "Created"),
        ({"Status": "running"}, "Up 2 minutes"),
        ({"Status": "running", "StartedAt": "2025-11-24T16:00:00Z"}, "Up Less than a second"),
        ({"Status": "paused"}, "Up 2 minutes (Paused)"),
        ({"Status": "exited", "ExitCode": 137}, "Exited (137) 2 minutes ago"),
        ({"Status": "restarting", "ExitCode": 1}, "Restarting (1) 2 minutes ago"),
        ({"Status": "removing"}, "Removal In Progress"),
        ({"Status": "dead"}, "Dead"),
    ],
)
def test_status_is_said_as_docker_says_it(state: dict[str, Any], text: str) -> None:
    assert status_text(document(**state)["State"], NOW_NS) == text


def test_nothing_in_a_row_can_move_the_cursor() -> None:
    evil = document("\x1b]0;owned\x07", command=("\x1b[2J", "\u202e"), image="a\rb\nc", labels={"k": "\x9b31m"})
    for template in ("", "{{.Names}} {{.Image}} {{.Labels}} {{.Command}}", "table {{.Labels}}\\t{{.Command}}", "json"):
        text = render_rows(rows(evil), _HEADERS, _COLUMNS, template)
        assert all(char.isprintable() or char == "\n" for char in text), repr(text)
    assert "\\x1b]0;owned\\x07" in render_rows(rows(evil), _HEADERS, _COLUMNS)


def test_clean_keeps_what_is_printable() -> None:
    assert clean("ünï ✓ 日本") == "ünï ✓ 日本"


def test_align_pads_to_ten_and_three_but_not_the_last() -> None:
    assert align([("a", "b", "c"), ("long-long-long", "b", "d")]) == (
        "a                b         c\nlong-long-long   b         d\n"
    )


def test_ellipsis_counts_itself() -> None:
    assert ellipsis("abcdef", 4) == "abc…"
    assert ellipsis("abcd", 4) == "abcd"
