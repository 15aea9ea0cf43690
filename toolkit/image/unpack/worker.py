"""The process that unpacks one layer: `worker BLOB TARGET ALGORITHM LIMITS...`, reports on stdout.

    taken <compressed bytes so far>
    done <digest's hex> <entries> <size> <has root> <ignored xattrs>
    failed <class of core.errors> <message, -hex> <hint, -hex>

It holds a lock on the target beside its parent's, so nobody sweeps it away
while either lives; and it ends with its parent, whose pipe breaks.
"""

import os
import sys

from toolkit.core.errors import BombError, EngineError
from toolkit.image.unpack.limits import Limits
from toolkit.image.unpack.stream import RAISE_LIMIT, Source, Stream
from toolkit.image.unpack.tar import entries
from toolkit.image.unpack.tree import Totals, Tree, explained
from toolkit.linux.lock import try_lock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

_REPORT_FD = 1


def main() -> None:
    """Unpack the layer that the command line names."""
    blob, target, algorithm, *limits = sys.argv[1:]
    os.umask(0)
    try:
        digest, totals = _unpack(blob, target, algorithm, Limits(*map(int, limits)))
        counts = " ".join(str(int(total)) for total in totals)
        _report(f"done {digest} {counts}")
    except BrokenPipeError:
        sys.exit(1)  # nobody waits any more
    except EngineError as exc:
        _report(f"failed {type(exc).__name__} {_hex(exc.message)} {_hex(exc.hint)}")


def _unpack(blob: str, target: str, algorithm: str, limits: Limits) -> tuple[str, Totals]:
    import hashlib

    lock_fd = os.open(os.path.dirname(target), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    if not try_lock(lock_fd, shared=True):
        raise BrokenPipeError  # the parent is gone, and somebody sweeps already
    root_fd = os.open(target, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    digest = hashlib.new(algorithm)
    source = Source(os.open(blob, os.O_RDONLY | os.O_CLOEXEC), digest, limits)
    stream = Stream(_reported(source))
    tree = Tree(root_fd)
    name = b""
    try:
        for number, entry in enumerate(entries(stream), 1):
            if number > limits.max_entries:
                raise BombError(f"it has more than {limits.max_entries} members", hint=RAISE_LIMIT)
            name = entry.name
            tree.write(entry, stream)
        stream.drain()
        return digest.hexdigest(), tree.finish()
    except BrokenPipeError:
        raise
    except OSError as exc:
        raise explained(exc, name) from exc


def _reported(source: Source) -> "Iterator[bytes]":
    for chunk in source.chunks():
        _report(f"taken {source.taken}")
        yield chunk


def _report(line: str) -> None:
    os.write(_REPORT_FD, line.encode() + b"\n")


def _hex(text: str) -> str:
    return "-" + text.encode().hex()  # never empty, and never with a space or a line's end


if __name__ == "__main__":
    main()
