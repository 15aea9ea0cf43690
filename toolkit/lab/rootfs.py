"""A small root file system in a student's directory: the image `lab` without its Python."""

import os
import subprocess

from toolkit.core.errors import EngineError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.engine import Engine

_DIRECTORIES = ("proc", "sys", "dev", "tmp", "old")


def make_rootfs(engine: "Engine", target: str) -> None:
    """Make the directory `target` one that could be somebody's `/`; one that is there is left as it is.

    Raises:
        EngineError: it could not be copied; nothing half-made is left.
    """
    if os.path.isdir(target):
        return
    record = engine.images.get("lab")
    half_made = f"{target}.half-made"
    subprocess.run(["rm", "-rf", half_made], check=True)
    os.makedirs(half_made)
    for diff_id in record.diff_ids:
        layer = engine.images.layer_path(str(diff_id))
        if not _is_python(layer):
            _copy(f"{layer}/.", half_made)
    for name in _DIRECTORIES:
        os.makedirs(os.path.join(half_made, name), exist_ok=True)
    os.rename(half_made, target)


def _is_python(layer: str) -> bool:
    return any(name.startswith("python3") for name in _programs(layer))


def _programs(layer: str) -> list[str]:
    directory = os.path.join(layer, "usr/bin")
    return os.listdir(directory) if os.path.isdir(directory) else []


def _copy(source: str, target: str) -> None:
    done = subprocess.run(["cp", "-a", source, target], capture_output=True, text=True, check=False)
    if done.returncode:
        raise EngineError(f"the root file system could not be made: {done.stderr.strip()}")
