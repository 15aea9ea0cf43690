"""What a student's directory remembers: how often each task was tried, and which are done.

It decides how many hints are shown and what a card says comes first; points
never come from it.  A student may delete or break it: then it begins anew.
"""

import contextlib
import json
import os
from typing import Any

RECORD = ".lab.json"


class Attempts:
    """The record of one student's directory."""

    def __init__(self, directory: str) -> None:
        self._path = os.path.join(directory, RECORD)
        stored = _read(self._path)
        self.source = str(stored.get("source", ""))
        """Where the lab came from: the directory of its source; empty: nobody has noted it."""
        counts = stored.get("attempts")
        self._counts = {str(k): v for k, v in counts.items() if isinstance(v, int)} if isinstance(counts, dict) else {}
        done = stored.get("done")
        self._done = [str(each) for each in done] if isinstance(done, list) else []

    def count(self, ident: str) -> int:
        """Return how often a task was tried without success."""
        return self._counts.get(ident, 0)

    def is_done(self, ident: str) -> bool:
        """Tell whether a task was done at some time."""
        return ident in self._done

    def note_failure(self, ident: str) -> int:
        """Count one more attempt; return how many there were."""
        self._counts[ident] = self.count(ident) + 1
        self._save()
        return self._counts[ident]

    def note_done(self, ident: str) -> None:
        """Remember that a task is done."""
        if ident not in self._done:
            self._done.append(ident)
            self._save()

    def note_source(self, source: str) -> None:
        """Remember where the lab came from."""
        self.source = source
        self._save()

    def _save(self) -> None:
        document = {"source": self.source, "attempts": self._counts, "done": self._done}
        temporary = f"{self._path}.{os.getpid()}"
        try:
            with open(temporary, "w", encoding="utf-8") as file:
                json.dump(document, file, indent=1)
            os.replace(temporary, self._path)
        except OSError:  # a directory that cannot be written: the check's answer matters more than its count
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary)


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, encoding="utf-8") as file:
            stored = json.load(file)
    except (OSError, ValueError):
        return {}
    return stored if isinstance(stored, dict) else {}
