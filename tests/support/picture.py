"""The README's picture, made by the project itself: `python -m tests.support.picture`, as root.

A container is started here and drawn by the notebooks' own `split_view`; the
drawing becomes a file of its own, readable on white and on black.
"""

import os
import sys

from tests.support.nested import REPOSITORY
from tests.support.recordings import in_private
from tests.support.session import Session

PATH = os.path.join(REPOSITORY, "toolkit", "docs", "split.svg")
_STYLE = (
    "<style>svg{color:#24292f}@media(prefers-color-scheme:dark){svg{color:#e6edf3}}svg text{white-space:pre}</style>"
)


def standalone(html: str) -> str:
    """Return the drawing in a figure's HTML as a file: its own name space and colours, which a page gives otherwise."""
    svg = html[html.index("<svg") : html.index("</svg>") + 6]
    head = '<svg xmlns="http://www.w3.org/2000/svg" '
    body = svg.replace("<svg ", head, 1).replace("var(--jp-code-font-family, ", "").replace("monospace)", "monospace")
    return body.replace(">", f">{_STYLE}", 1) + "\n"


def draw() -> str:
    """Start a container with a few processes, and draw it."""
    from toolkit.notebook.figures.split import split_view
    from toolkit.notebook.magics import run_command
    from toolkit.notebook.session import close_engines

    session = Session()
    try:
        made = session.new_root()
        os.environ.update({"CONTAINER_ROOT": made.root, "CONTAINER_RUN": made.run})
        script = "sleep 500 & sleep 600"
        container = run_command(["run", "-d", "--name", "web", "lab", "sh", "-c", script])
        container.exec("true")  # by now the shell has started both
        html = split_view(container.pid, "web").html
        container.remove(force=True)
        close_engines()
        session.delete_root(made)
    finally:
        session.close()
    return standalone(html)


def main() -> None:
    """Write the picture."""
    in_private("tests.support.picture", sys.argv[1:])
    with open(PATH, "w", encoding="utf-8") as file:
        file.write(draw())


if __name__ == "__main__":
    main()
