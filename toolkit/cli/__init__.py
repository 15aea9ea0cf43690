"""The command line: docker's grammar over the engine, in a shell, a notebook and a test.

    outcome = run(["ps", "--all"], stdin=None, stdout=out, stderr=err)
    outcome.exit_code, outcome.value      # 0, [Container, ...]

`toolkit.cli.main.main` is the `container` program; `run` is one command inside any process.
Modules are loaded when a command needs them: see grammar.py.
"""

from toolkit.cli.main import run
from toolkit.cli.session import Outcome

__all__ = ["Outcome", "run"]
