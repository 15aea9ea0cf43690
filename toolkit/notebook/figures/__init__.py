"""Pictures of what the kernel says: inline SVG and HTML in the page's own colours.

Every figure is made of facts that were read a moment before, and can also be
printed as text, for a terminal and for those who listen to their notebooks.
"""

from typing import NamedTuple


class Figure(NamedTuple):
    """A picture and the same facts as text."""

    html: str
    text: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.text
