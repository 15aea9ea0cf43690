"""Lists in pages: the parameters `n` and `last`, and the Link header (distribution spec, "Listing Tags")."""

from urllib.parse import quote

from toolkit.registry.server import errors
from toolkit.registry.server.errors import RefusedError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping


def page(names: "list[str]", query: "Mapping[str, str]", path: str) -> "tuple[list[str], dict[str, str]]":
    """Cut one page out of sorted names; return it with the header that leads to the next.

    Raises:
        RefusedError: PAGINATION_NUMBER_INVALID.
    """
    last = query.get("last", "")
    rest = [name for name in names if name > last]
    text = query.get("n")
    if text is None:
        return rest, {}
    if not (text.isascii() and text.isdigit()):
        raise RefusedError(errors.PAGINATION_INVALID, {"n": text})
    count = int(text)
    chosen = rest[:count]
    if not chosen or count >= len(rest):
        return chosen, {}
    return chosen, {"Link": f'<{path}?last={quote(chosen[-1])}&n={count}>; rel="next"'}
