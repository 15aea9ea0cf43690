"""What a zygote has loaded: each page of it is paid again by every container's monitor."""

import os
import subprocess
import sys

_ROOT = os.path.dirname(sys.modules["toolkit"].__path__[0])
_LIST = "import sys; sys.path.insert(0, {root!r}); import toolkit.runtime.zygote; print(*sys.modules)"
_HEAVY = {
    "array",  # brings collections
    "collections",
    "contextlib",
    "dataclasses",
    "enum",
    "functools",
    "inspect",
    "json",
    "msgspec",
    "pathlib",
    "re",
    "selectors",
    "signal",
    "socket",
    "subprocess",
    "typing",
}


def test_zygote_imports_nothing_heavy() -> None:
    command = [sys.executable, "-I", "-S", "-c", _LIST.format(root=_ROOT)]
    loaded = set(subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    assert "toolkit.runtime.zygote" in loaded
    assert not loaded & _HEAVY
