"""How a call is spelled, by somebody else and later.

Where time counts a call is recorded as the name of a function and its
arguments: plain values, which travel as they are.  Whoever reads the record
has the function spell it.
"""

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_spellers: "dict[str, Callable[..., str]]" = {}


def speller(function: "Callable[..., str]") -> str:
    """Return the name under which a function of a module is found again, here and in other processes of this code."""
    name = f"{function.__module__}:{function.__name__}"
    _spellers[name] = function
    return name


def spell(name: str, *facts: object) -> str:
    """Have a function, by what `speller` has named it, spell a call."""
    found = _spellers.get(name)
    if found is None:
        __import__(name.partition(":")[0])  # it names its functions as it is loaded
        found = _spellers[name]
    return found(*facts)
