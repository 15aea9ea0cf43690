"""crun and runc on a bundle equal to our container, and skopeo with umoci.

crun refuses a hybrid cgroup layout.  It is given what it accepts: it runs in a
mount namespace in which a tmpfs hides the v2 tree.  The namespace is made once
by a process that then runs crun on demand and times it, so that crun does not
pay for it.
"""

import json
import os
import struct
import subprocess
import time
from contextlib import suppress
from typing import NamedTuple

from tests.bench.ground import enter_own_mounts
from toolkit.linux import capability
from toolkit.linux.cgroup import detect
from toolkit.linux.libc import MACHINE
from toolkit.linux.mount import mount
from toolkit.linux.seccomp.profile import default_profile


class Bundle(NamedTuple):
    """An OCI bundle: a directory with config.json and rootfs."""

    path: str


def make_bundle(directory: str, layers: list[str], config_path: str) -> Bundle:
    """Make a bundle of the config that our engine has made, with docker's default filter as crun and runc take it.

    The overlay of the same layers is mounted once, before anything is timed:
    crun and runc do not make one for each container, we do.
    """
    for name in ("upper", "work", "rootfs"):
        os.makedirs(f"{directory}/{name}")
    data = f"lowerdir={':'.join(reversed(layers))},upperdir={directory}/upper,workdir={directory}/work"
    mount("overlay", f"{directory}/rootfs", "overlay", 0, data)
    with open(config_path) as file:
        config = json.load(file)
    kept = capability.parse(config["process"]["capabilities"]["bounding"])
    config["ociVersion"] = "1.0.2"  # Debian's crun and runc are older than ours
    config["root"]["path"] = "rootfs"
    config["linux"]["seccomp"] = default_profile(kept, MACHINE)
    config["linux"]["cgroupsPath"] = "/container-toolkit/bench"
    with open(f"{directory}/config.json", "w") as file:
        json.dump(config, file)
    return Bundle(directory)


class Runner:
    """Runs one OCI runtime on a bundle in a process of its own and returns what each run took."""

    def __init__(self, program: str, bundle: Bundle) -> None:
        self.program = program
        asked, self._ask = os.pipe()
        self._answer, answered = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            try:
                os.close(self._ask)
                _serve(program, bundle, asked, answered)
            finally:
                os._exit(1)
        os.close(asked)
        os.close(answered)

    def run(self) -> float:
        """Run the bundle once, from spawn to exit; return the seconds."""
        os.write(self._ask, b"r")
        answer = os.read(self._answer, 8)
        if len(answer) != 8:
            raise RuntimeError(f"{self.program} run failed, see above")
        return float(struct.unpack("d", answer)[0])

    def close(self) -> None:
        """End the process."""
        with suppress(BrokenPipeError):  # it failed, and has said why
            os.write(self._ask, b"q")  # closing is not enough: a Runner made later inherited this end of the pipe
        os.waitpid(self._pid, 0)
        os.close(self._ask)
        os.close(self._answer)


def _serve(program: str, bundle: Bundle, asked: int, answered: int) -> None:
    enter_own_mounts()
    hierarchy = detect()
    if hierarchy.kind == "hybrid" and program == "crun":
        mount("tmpfs", hierarchy.v2, "tmpfs")
    path = next(
        f"{directory}/{program}" for directory in os.get_exec_path() if os.path.exists(f"{directory}/{program}")
    )
    count = 0
    while os.read(asked, 1) == b"r":
        count += 1
        ident = f"bench-{os.getpid()}-{count}"
        start = time.perf_counter()
        pid = os.posix_spawn(path, [program, "run", "--bundle", bundle.path, ident], os.environ)
        _, status = os.waitpid(pid, 0)
        seconds = time.perf_counter() - start
        if status != 0:
            return
        os.write(answered, struct.pack("d", seconds))


def copy_and_unpack(source: str, directory: str) -> None:
    """Fetch an image with skopeo into an OCI layout and unpack it with umoci, then sync as we do."""
    _quiet("skopeo", "copy", "--src-tls-verify=false", f"docker://{source}", f"oci:{directory}/oci:image")
    _quiet("umoci", "unpack", "--image", f"{directory}/oci:image", f"{directory}/bundle")
    _quiet("sync", "-f", directory)


def copy(source: str, directory: str) -> None:
    """Fetch an image with skopeo and do not unpack it."""
    _quiet("skopeo", "copy", "--src-tls-verify=false", f"docker://{source}", f"oci:{directory}/oci:image")


def _quiet(*command: str) -> None:
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: {ended.stderr.strip()[-500:]}")


def version(program: str) -> str:
    """Return the first line of what `--version` prints."""
    with suppress(FileNotFoundError):
        ended = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
        return (ended.stdout or ended.stderr).strip().splitlines()[0]
    return f"{program}: not installed"
