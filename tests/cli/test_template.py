"""Templates print what docker prints: the expectations were recorded from docker 28.2.2 (see data/templates.json)."""

import json
import pathlib
from typing import Any

import pytest

from toolkit.cli.commands.inspect import _view
from toolkit.cli.template import FreeMap, TemplateError, compile_template, render

RECORDED = json.loads((pathlib.Path(__file__).parent / "data" / "templates.json").read_text())


def outcome(template: str, value: Any) -> Any:
    try:
        return render(compile_template(template), value)
    except TemplateError as exc:
        return f"template parsing error: {exc}"


@pytest.mark.parametrize(("template", "printed"), RECORDED["cases"])
def test_template_prints_what_docker_prints(template: str, printed: str) -> None:
    assert outcome(template, _view(RECORDED["document"], "")).rstrip("\n") == printed


def test_there_are_many_recorded_cases() -> None:
    assert len(RECORDED["cases"]) > 130


@pytest.mark.parametrize(
    ("template", "printed"),
    [
        ("{{.a}}", "1"),
        ("{{- .a -}}", "1"),
        ("x\n  {{- /* gone */ -}}\n y", "xy"),
        ("{{with $v := .m}}{{$v.k}}{{else}}none{{end}}", "v"),
        ("{{with .nothing}}x{{else with .m}}{{.k}}{{end}}", "v"),
        ("{{range $i, $e := .list}}{{if $i}}, {{end}}{{$e}}{{end}}", "x, y"),
        ("{{range .list}}{{range $.list}}{{.}}{{break}}{{end}}{{end}}", "xx"),
        ("{{range $k, $v := .m}}{{$k}}={{$v}};{{else}}none{{end}}", "k=v;"),
        ('{{$x := "a"}}{{range .list}}{{$x = .}}{{end}}{{$x}}', "y"),
        ('{{$x := "a"}}{{range .list}}{{$x := .}}{{end}}{{$x}}', "a"),
        ("{{call}}", 'template parsing error: template: :1: function "call" not defined'),
        ('{{.method "z"}}', "called with z"),
        ("{{.method}}", "called with "),
        ('{{printf "[%s]" (.method "z")}}', "[called with z]"),
        ('{{"z" | .method}}', "called with z"),
        ("{{(.m).k}}", "v"),
        ("{{(index .list 1)}}", "y"),
        ("{{not .nothing}} {{len .m}}", "true 1"),
        ("{{.m.absent}} {{.m.absent.deeper}}", "<no value> <no value>"),
        ("{{if and .a (eq .a 1) (not .zero)}}yes{{end}}", "yes"),
        ("{{or .zero .empty .a}}", "1"),
        ("{{and .zero (index .list 99)}}", "0"),
        ("{{or .a (index .list 99)}}", "1"),
        ("{{json .}}", None),
        ('{{"\\u00e9\\n"}}', "é\n"),
        ("{{.É}}", 'template parsing error: template: :1:2: executing "" at <.É>: map has no entry for key "É"'),
        ("{{1e6}} {{1.0}} {{0.00001}} {{1e21}}", "1e+06 1 1e-05 1e+21"),
    ],
)
def test_template_language(template: str, printed: str) -> None:
    value = {
        "a": 1,
        "zero": 0,
        "empty": "",
        "nothing": None,
        "list": ["x", "y"],
        "m": FreeMap(k="v"),
        "method": lambda argument="": f"called with {argument}",
    }
    if printed is None:
        assert json.loads(outcome(template, value)) == {key: value[key] for key in value if key != "method"}
    else:
        assert outcome(template, value) == printed


def test_error_names_line_and_column() -> None:
    assert outcome("one\ntwo {{.x}}", {}) == (
        'template parsing error: template: :2:6: executing "" at <.x>: map has no entry for key "x"'
    )


def test_recursion_ends_with_an_error_and_not_with_the_interpreters_limit() -> None:
    assert "exceeded maximum template depth" in outcome('{{define "t"}}{{template "t"}}{{end}}{{template "t"}}', {})


def test_json_is_not_escaped_for_html() -> None:
    assert outcome("{{json .}}", {"a": "<&>é"}) == '{"a":"<&>é"}'
