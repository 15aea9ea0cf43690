"""Names for containers whose user gave none: an adjective and a pioneer of computing."""

import os
import re

from toolkit.core.errors import InvalidError

_FORM = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
_LEFT = (
    "amazing brave bold busy calm clever cool curious daring eager elegant epic fervent focused friendly gallant gentle "
    "happy hopeful humble inspiring intelligent jolly keen kind loving lucid magical mystifying modest nice nifty nimble "
    "optimistic patient peaceful pensive practical proud quirky quizzical relaxed reverent romantic serene sharp silly "
    "sleepy stoic strange sweet tender thirsty trusting upbeat vibrant vigilant wizardly wonderful youthful zealous zen"
).split()
_RIGHT = (
    "allen babbage bartik bell bohr borg cerf chandrasekhar clarke cori curie dijkstra diffie easley einstein engelbart "
    "euclid euler feynman franklin galileo gates goldberg goldstine gosling hamilton hawking hellman hertz hodgkin hoover "
    "hopper hypatia jang jennings johnson joliot kapitsa kepler khayyam kilby knuth lamarr leakey lovelace lumiere maxwell "
    "mccarthy meitner mendel mirzakhani moore morse newton nobel noether pasteur perlman pike poitras ramanujan ride "
    "ritchie rosalind saha sammet shannon snyder stallman swartz tesla thompson torvalds turing volhard wescoff wilson "
    "wing wozniak wright yalow"
).split()


def random_name() -> str:
    """Return a name such as brave_hopper."""
    left, right = os.urandom(2), os.urandom(2)
    return f"{_LEFT[int.from_bytes(left) % len(_LEFT)]}_{_RIGHT[int.from_bytes(right) % len(_RIGHT)]}"


def check_name(name: str) -> str:
    """Return the name without docker's leading slash.

    Raises:
        InvalidError: it is not [a-zA-Z0-9][a-zA-Z0-9_.-]+.
    """
    name = name.removeprefix("/")
    if not _FORM.fullmatch(name):
        raise InvalidError(
            f"invalid container name ({name!r})",
            hint="use letters, digits, _ . and -, two characters at least, the first a letter or digit",
        )
    return name
