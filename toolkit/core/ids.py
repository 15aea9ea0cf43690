"""Identifiers of objects, as docker makes them."""

import os

ID_HEX = 64
SHORT_HEX = 12


def new_id() -> str:
    """Make a random 64-digit hex id whose first 12 digits are not all decimal.

    A short id of decimal digits alone could be mistaken for a number by other
    programs (moby makes the same check, pkg/stringid).
    """
    while True:
        ident = os.urandom(ID_HEX // 2).hex()
        if not ident[:SHORT_HEX].isdecimal():
            return ident


def short_id(ident: str) -> str:
    """Return the 12 digits that tables show; a digest loses its algorithm first."""
    return ident.rpartition(":")[2][:SHORT_HEX]
