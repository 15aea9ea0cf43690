"""--filter key=value of the lists."""

from toolkit.cli.flags import Kind
from toolkit.core.errors import InvalidError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import NoReturn


class Filters(dict[str, list[str]]):
    """The values wanted for each key: one of them must fit (of labels, all)."""

    def __missing__(self, key: str) -> list[str]:
        return []

    def check(self, *known: str) -> None:
        """Refuse keys other than `known`.

        Raises:
            InvalidError: there is one.
        """
        for key in self:
            if key not in known:
                raise InvalidError(f"invalid filter '{key}'", hint=f"known are {', '.join(known)}")

    def reject(self, key: str, value: str) -> "NoReturn":
        """Refuse a value.

        Raises:
            InvalidError: always.
        """
        raise InvalidError(f"invalid filter '{key}={value}'")

    def check_patterns(self, *keys: str) -> None:
        """Refuse values of `keys` that are no regular expressions (docker's name filter takes those).

        Raises:
            InvalidError: there is one.
        """
        if not any(self[key] for key in keys):
            return
        import re

        for key in keys:
            for pattern in self[key]:
                try:
                    re.compile(pattern)
                except re.error as exc:
                    raise InvalidError(f"invalid filter pattern '{key}={pattern}': {exc}") from exc

    def any_found_in(self, key: str, text: str) -> bool:
        """Tell whether a pattern wanted for `key` occurs in `text`; true where none is wanted."""
        if not self[key]:
            return True
        import re

        return any(re.search(pattern, text) for pattern in self[key])

    def any_among(self, key: str, values: "Sequence[str]") -> bool:
        """Tell whether a value wanted for `key` is one of `values`; true where none is wanted."""
        return not self[key] or any(wanted in values for wanted in self[key])


def label_matches(wanted: str, labels: "Mapping[str, str]") -> bool:
    """Tell whether a label is there ("key") and has this value ("key=value")."""
    key, equals, value = wanted.partition("=")
    return key in labels and (not equals or labels[key] == value)


def _parse(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError("bad format of filter (expected name=value)")
    return key.strip().lower(), value.strip()


def _collect(pairs: "list[tuple[str, str]]") -> Filters:
    filters = Filters()
    for key, value in pairs:
        filters.setdefault(key, []).append(value)
    return filters


FILTER = Kind("filter", _parse, _collect)
