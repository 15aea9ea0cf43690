"""Digests and identifiers (toolkit/core/digest.py, ids.py)."""

import hashlib

import pytest

from toolkit.core.digest import digest_of, parse_digest, split_digest
from toolkit.core.errors import InvalidError
from toolkit.core.ids import new_id, short_id

EMPTY = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"


def test_digest_of_content_is_its_sha256() -> None:
    assert digest_of(b"") == EMPTY
    assert split_digest(digest_of(b"lab")) == ("sha256", hashlib.sha256(b"lab").hexdigest())


def test_well_formed_digests_are_accepted() -> None:
    assert parse_digest(EMPTY) == EMPTY
    assert parse_digest("sha512:" + "0a" * 64) == "sha512:" + "0a" * 64


@pytest.mark.parametrize(
    "text",
    ["", "sha256", EMPTY[:-1], EMPTY + "0", EMPTY.upper(), "md5:" + "0" * 32, EMPTY + "\n", "sha256:../../etc/passwd"],
)
def test_malformed_digest_is_refused(text: str) -> None:
    with pytest.raises(InvalidError, match="64 hex digits"):
        parse_digest(text)


def test_new_ids_are_64_hex_digits_and_differ() -> None:
    made = {new_id() for _ in range(200)}
    assert len(made) == 200
    assert all(len(ident) == 64 and int(ident, 16) >= 0 for ident in made)


def test_short_id_that_reads_as_a_number_is_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = [b"\x12\x34\x56\x78\x90\x12" + b"\xff" * 26, b"\x12\x34\x56\x78\x90\x1a" + b"\xff" * 26]
    monkeypatch.setattr("os.urandom", lambda _size: drawn.pop(0))
    assert new_id().startswith("12345678901a")


def test_short_id_drops_the_algorithm() -> None:
    assert short_id(EMPTY) == "e3b0c44298fc"
