"""Go's text/template, as much of it as `docker inspect -f` and `docker ps --format` users rely on.

    render(compile_template("{{.State.Pid}}"), {"State": {"Pid": 7}})     # "7"

All actions, pipelines, variables and trim markers, the built-in functions
without `call` and `js`, and docker's own (json, join, split, title, upper,
lower, pad, truncate).  Values are what JSON has: see evaluate.py for where a
missing key is an error and where it is `<no value>`.

Pure: text and values in, text out.
"""

from toolkit.cli.template.evaluate import FreeMap, render
from toolkit.cli.template.parse import Template, TemplateError, compile_template
from toolkit.cli.template.text import NIL_LIST

__all__ = ["NIL_LIST", "FreeMap", "Template", "TemplateError", "compile_template", "render"]
