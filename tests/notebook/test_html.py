"""Texts of images and containers in a notebook's HTML: a script in a label must not run in the reader's browser."""

import pytest

from toolkit.notebook import html

EVIL = "<script>alert(1)</script><img src=x onerror=alert(2)>'\"&"


@pytest.mark.parametrize(
    "made",
    [
        html.table((EVIL,), [{EVIL: EVIL}], frozenset((EVIL,))),
        html.card(EVIL, html.chip(EVIL, html.GREEN), [(EVIL, EVIL)]),
        html.chip(EVIL, html.AMBER),
    ],
    ids=["table", "card", "chip"],
)
def test_hostile_text_is_text(made: str) -> None:
    assert "<script" not in made
    assert "<img" not in made
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in made
