"""What images, containers and names say on the user's screen: text, never a command to the terminal."""

import time

import pytest

from tests.cli.conftest import Shell

pytestmark = pytest.mark.needs("root", "overlay")

EVIL = "\x1b[2J\x1b]0;owned\x07\x9b31m\r\x08\u202e"
"""Clears the screen, sets the title, goes back, turns the direction of writing around."""


def is_harmless(text: str) -> bool:
    return all(char.isprintable() or char in "\n\t" for char in text)


@pytest.fixture
def evil(shell: Shell) -> Shell:
    """Start a container whose every text is hostile."""
    options = ("--label", f"{EVIL}={EVIL}", "-e", f"EVIL={EVIL}", "--name", "evil")
    script = f"mkdir /tmp/'{EVIL}'; printf '%s\\n' '{EVIL}'; exec sleep 60"
    shell.out("run", "-d", *options, "lab", "sh", "-c", script, EVIL)
    return shell


@pytest.mark.parametrize(
    "words",
    [
        ("ps", "-a", "--no-trunc"),
        ("ps", "--format", "{{.Command}} {{.Labels}}"),
        ("ps", "--format", "table {{.Command}}\t{{.Labels}}"),
        ("ps", "--format", "json"),
        ("inspect", "evil"),
        ("inspect", "--format", "{{json .Config}}", "evil"),
        ("top", "evil"),
        ("events", "--since", "1h", "--until", "0s"),
        ("events", "--since", "1h", "--until", "0s", "--format", "{{.Actor.Attributes}}"),
        ("events", "--since", "1h", "--until", "0s", "--format", "json"),
        ("diff", "evil"),
        ("stats", "--no-stream"),
    ],
    ids=" ".join,
)
def test_list_shows_hostile_texts_escaped(evil: Shell, words: tuple[str, ...]) -> None:
    shown = evil(*words, check=0).stdout
    assert is_harmless(shown), repr(shown)


def test_logs_pass_a_containers_bytes_as_they_are(evil: Shell) -> None:
    deadline_s = time.monotonic() + 10
    while not (logged := evil.raw("logs", "evil", stdin=b"").stdout):
        assert time.monotonic() < deadline_s
    assert logged == EVIL.encode() + b"\n"


@pytest.mark.parametrize(
    "words",
    [
        ("run", "--rm", "lab", f"/bin/{EVIL}\ncontainer: all is well"),
        ("run", "--rm", "-u", f"{EVIL}\ncontainer: all is well", "lab", "true"),
        ("run", "--rm", "--name", EVIL, "lab", "true"),
        ("run", EVIL),
        ("run", f"--{EVIL}"),
        ("inspect", EVIL),
        ("rm", EVIL),
        ("exec", "evil", f"{EVIL}\nall is well"),
        (EVIL,),
    ],
    ids=ascii,
)
def test_error_shows_hostile_texts_escaped(evil: Shell, words: tuple[str, ...]) -> None:
    done = evil(*words)
    assert done.returncode != 0
    assert is_harmless(done.stderr), repr(done.stderr)
    assert "all is well" not in done.stderr.splitlines()[-1].removeprefix("container: ")[:20]


def test_errors_would_reach_the_terminal_unescaped(evil: Shell, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    from toolkit.cli import table
    from toolkit.cli.session import Session

    stderr = io.StringIO()
    session = Session(stdin=None, stdout=io.StringIO(), stderr=stderr)
    monkeypatch.setattr(table, "clean", lambda text, _keep="": text)
    session.complain(EVIL)
    assert not is_harmless(stderr.getvalue())
