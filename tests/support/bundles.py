"""OCI bundles of busybox, and runtimes that make containers of them: ours, and runc to compare with."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, NamedTuple

from tests.support.patience import wait_until
from toolkit.runtime.oci.features import template

OURS = "ours"
RUNC = "runc"
_TIMEOUT_S = 30.0


class Done(NamedTuple):
    """How a command of a runtime ended."""

    code: int
    out: str
    err: str


class Bundle:
    """A bundle on disk, whose config is to be changed before it is used."""

    def __init__(self, directory: Path, tree: Path) -> None:
        """Copy the root file system `tree` into a new bundle."""
        self.path = directory
        self.rootfs = directory / "rootfs"
        directory.mkdir()
        shutil.copytree(tree, self.rootfs, symlinks=True)
        self.config = template(is_rootless=False)
        self.config["process"]["terminal"] = False
        self.config["root"]["readonly"] = False
        self.config["linux"]["cgroupsPath"] = f"/toolkit-test-{os.getpid()}-{os.urandom(4).hex()}/box"

    @property
    def process(self) -> dict[str, Any]:
        """The process of its config."""
        found: dict[str, Any] = self.config["process"]
        return found

    @property
    def linux(self) -> dict[str, Any]:
        """The Linux part of its config."""
        found: dict[str, Any] = self.config["linux"]
        return found

    def script(self, text: str) -> None:
        """Have it run a shell script."""
        self.process["args"] = ["sh", "-c", text]

    def write(self) -> None:
        """Write config.json."""
        (self.path / "config.json").write_text(json.dumps(self.config))

    @property
    def groups(self) -> list[str]:
        """The container's cgroups that exist, and the one above each, which is this bundle's, too."""
        name = str(self.linux["cgroupsPath"])
        mounts = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines() if " cgroup" in line]
        names = (name, os.path.dirname(name)) if name.count("/") > 1 else (name,)
        return [mount + each for each in names for mount in dict.fromkeys(mounts) if os.path.isdir(mount + each)]


class Runtime:
    """A command line such as runc's, with a state directory of its own."""

    def __init__(self, name: str, base: Path) -> None:
        """Use OURS or RUNC."""
        self.name = name
        self.root = base / f"state-{name}"
        self.base = base
        program = [sys.executable, "-m", "toolkit.cli", "oci"] if name == OURS else [_find("runc")]
        self.command = [*program, "--root", str(self.root)]

    def __call__(
        self,
        *words: str,
        stdin: "int | IO[bytes]" = subprocess.DEVNULL,
        env: dict[str, str] | None = None,
        cwd: Path | None = None,
        before: tuple[str, ...] = (),
        **popen: Any,
    ) -> Done:
        """Do one command; its stdio are files, which a container may keep open."""
        out, err = self.base / f"out-{os.urandom(4).hex()}", self.base / f"err-{os.urandom(4).hex()}"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            done = subprocess.run(
                [*self.command, *before, *words],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                timeout=_TIMEOUT_S,
                check=False,
                **popen,
            )
        self.stdout, self.stderr = out, err
        return Done(done.returncode, out.read_text(errors="replace"), err.read_text(errors="replace"))

    def run(self, bundle: Bundle, *flags: str, **options: Any) -> Done:
        """Run a bundle to its end."""
        bundle.write()
        return self("run", "--bundle", str(bundle.path), *flags, _name(), **options)

    def state(self, ident: str) -> dict[str, Any]:
        """Return a container's state."""
        found: dict[str, Any] = json.loads(self("state", ident).out)
        return found

    def status(self, ident: str) -> str:
        """Return a container's status."""
        return str(self.state(ident)["status"])

    @contextmanager
    def created(self, bundle: Bundle, *flags: str, **options: Any) -> Iterator[str]:
        """Create a container; delete it at the end."""
        bundle.write()
        ident = _name()
        done = self("create", "--bundle", str(bundle.path), *flags, ident, **options)
        assert done.code == 0, done.err
        try:
            yield ident
        finally:
            self("delete", "--force", ident)

    @contextmanager
    def running(self, bundle: Bundle, *flags: str, **options: Any) -> Iterator[str]:
        """Create and start a container; delete it at the end."""
        with self.created(bundle, *flags, **options) as ident:
            done = self("start", ident)
            assert done.code == 0, done.err
            yield ident

    def wait_stopped(self, ident: str) -> None:
        """Wait until a container has ended."""
        wait_until(lambda: self.status(ident) == "stopped", 10)


def is_running(pid: int) -> bool:
    """Tell whether a process is there, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def _name() -> str:
    return f"toolkit-test-{os.getpid()}-{os.urandom(4).hex()}"


def _find(program: str) -> str:
    return shutil.which(program, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin") or program


def remove_groups(bundle: Bundle) -> None:
    """Remove the groups that a bundle's containers were in, and that runc leaves: the parent."""
    deadline = time.monotonic() + 5
    while (found := bundle.groups) and time.monotonic() < deadline:
        for group in found:
            try:
                os.rmdir(group)
            except OSError:
                time.sleep(0.01)


def normalised(text: str) -> str:
    """Return output with what differs from run to run left out."""
    text = re.sub(r"toolkit-test-\d+-[0-9a-f]{8}", "NAME", text)
    return re.sub(r"(ino|size)=\d+k?", r"\1=N", text)
