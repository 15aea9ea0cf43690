"""`container system df`, `ps --size`, `inspect --size`, and the filters of prune."""

import json
import re

import pytest

from tests.cli.conftest import Shell, lines_of

pytestmark = pytest.mark.needs("root", "overlay")

_WRITE = "head -c 3000000 /dev/zero > /file"


@pytest.fixture
def written(shell: Shell) -> str:
    """Return the id of an ended container that has written 3 MB."""
    shell("run", "--name", "written", "--label", "a=b", "lab", "sh", "-c", _WRITE, check=0)
    return shell.out("inspect", "-f", "{{.Id}}", "written")


def test_df_adds_up(shell: Shell, written: str) -> None:
    shell.out("run", "-d", "--name", "web", "lab", "sleep", "60")
    heading, *rows = shell.out("system", "df").splitlines()
    assert heading.split() == ["TYPE", "TOTAL", "ACTIVE", "SIZE", "RECLAIMABLE"]
    assert [row[:15].strip() for row in rows] == ["Images", "Containers", "Local Volumes", "Build Cache"]
    assert re.fullmatch(r"Containers +2 +1 +3MB +3MB \(100%\)", rows[1])
    image = json.loads(shell.out("system", "df", "--format", "json").splitlines()[0])
    assert (image["Type"], image["Active"], image["Reclaimable"]) == ("Images", "1", "0B (0%)")
    assert image["Size"] == shell.out("images", "lab", "--format", "{{.Size}}")


def test_df_in_detail(shell: Shell, written: str) -> None:
    shell.out("tag", "lab", "other:1")
    text = shell.out("system", "df", "--verbose")
    shell.out("rmi", "other:1")
    images, containers = text.split("Containers space usage:\n\n")
    assert images.startswith("Images space usage:\n\nREPOSITORY ")
    assert [row.split()[:2] for row in lines_of(images.split("\n\n")[1])] == [["lab", "latest"], ["other", "1"]]
    assert re.search(rf'{written[:12]} +lab +"sh -c head -c 30000…" +0 +3MB .*Exited \(0\).* written', containers)
    assert "go together" in shell.fail("system", "df", "-v", "--format", "json", code=1)


def test_sizes_of_containers(shell: Shell, written: str) -> None:
    row = shell.out("ps", "-as").splitlines()[1]
    assert re.search(r"3MB \(virtual \d+(\.\d+)?MB\)$", row)
    assert shell.out("ps", "-a", "--format", "{{.Names}} {{.Size}}").startswith("written 3MB (virtual ")
    rw, root = shell.out("inspect", "-s", "-f", "{{.SizeRw}} {{.SizeRootFs}}", "written").split()
    image = int(shell.out("inspect", "-f", "{{.Size}}", "--type", "image", "lab"))
    assert (int(rw), int(root)) == (3_000_000, 3_000_000 + image)
    assert "SizeRw" not in shell.out("inspect", "written")


def test_flags_for_what_there_is_none_of_are_taken(shell: Shell) -> None:
    assert shell.out("images", "-a") == shell.out("images")
    assert "No such image" in shell.fail("rmi", "--no-prune", "nope", code=1)


@pytest.mark.parametrize(
    ("filters", "goes"),
    [
        (["label=a"], True),
        (["label=a=b"], True),
        (["label=a=c"], False),
        (["label!=a"], False),
        (["label!=x"], True),
        (["label=a", "label=x"], False),
        (["until=1h"], False),
        (["until=0s"], True),
        (["until=2099-01-01"], True),
        (["until=2020-01-01T00:00:00Z"], False),
    ],
)
def test_prune_takes_what_its_filters_choose(shell: Shell, filters: list[str], *, goes: bool) -> None:
    ident = shell.out("create", "--label", "a=b", "lab", "true")
    words = [word for each in filters for word in ("--filter", each)]
    shell.out("container", "prune", "-f", *words)
    assert shell.out("ps", "-aq", "--no-trunc") == ("" if goes else ident)


@pytest.mark.parametrize("kind", ["container", "image", "system"])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("foo=bar", "invalid filter 'foo'"),
        ("until=1x", 'failed to parse value as time or duration: "1x"'),
    ],
)
def test_filter_that_means_nothing_prunes_nothing(shell: Shell, kind: str, value: str, message: str) -> None:
    ident = shell.out("create", "lab", "true")
    assert shell.fail(kind, "prune", "-f", "--filter", value, code=1).startswith(message)
    assert shell.out("ps", "-aq", "--no-trunc") == ident


def test_prune_of_all_says_what_its_filters_are(shell: Shell) -> None:
    text = shell.out("system", "prune", "--filter", "until=24h", "--filter", "label=a", stdin=b"n\n")
    assert "Items to be pruned will be filtered with:\n  - until=24h\n  - label=a\n" in text
    assert "more than one until" in shell.fail(
        "container", "prune", "-f", "--filter", "until=1h", "--filter", "until=2h", code=1
    )


def test_image_in_use_or_not_chosen_stays(shell: Shell) -> None:
    shell.out("create", "lab", "true")
    assert shell.out("image", "prune", "-af") == "Total reclaimed space: 0B"
    shell.out("container", "prune", "-f")
    assert shell.out("image", "prune", "-af", "--filter", "label=nonesuch") == "Total reclaimed space: 0B"
    assert shell.out("images", "-q", "lab")
