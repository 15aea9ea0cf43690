"""Where an engine keeps its things; the one place that knows the layout.

root/                   survives a reboot
  state.db              objects
  content/, layers/     images (the image room's)
  containers/ID/        upper, work, bundle, log, exit record
  volumes/              local volumes (the volume room's)
  trash/                what is being removed
run/                    does not
  zygote-*.sock
  events.log            what happened lately, and events.log.1, what happened before
  volumes/NAME/         exists while a volume is locked, or mounted by its driver
  rootfs/               the empty directory that every container mounts its root on
  containers/ID/        exists from the start of a container until its end; locked by its monitor
"""

import os

from toolkit.core.record import NamedTuple

DEFAULT_ROOT = "/var/lib/container-toolkit"
DEFAULT_RUN = "/run/container-toolkit"


class Paths(NamedTuple):
    """The two roots of one engine."""

    root: str
    run: str

    @classmethod
    def find(cls, root: str | None, run: str | None) -> "Paths":
        """Choose the roots: as given, else from CONTAINER_ROOT and CONTAINER_RUN, else the defaults.

        A root elsewhere gets its runtime files below itself, so that two
        engines never share them by accident.
        """
        root = root or os.environ.get("CONTAINER_ROOT")
        run = run or os.environ.get("CONTAINER_RUN") or (os.path.join(root, "run") if root else None)
        return cls(os.path.abspath(root or DEFAULT_ROOT), os.path.abspath(run or DEFAULT_RUN))

    @property
    def state(self) -> str:
        """The database."""
        return f"{self.root}/state.db"

    @property
    def trash(self) -> str:
        """Directories on their way out."""
        return f"{self.root}/trash"

    @property
    def rootfs(self) -> str:
        """The mount point of every container's root, each in its own mount namespace."""
        return f"{self.run}/rootfs"

    @property
    def running(self) -> str:
        """One directory for each container that has been started and not been cleaned up."""
        return f"{self.run}/containers"

    @property
    def volumes(self) -> str:
        """Local volumes."""
        return f"{self.root}/volumes"

    @property
    def volume_claims(self) -> str:
        """Who has which volume mounted, of those that have to be mounted."""
        return f"{self.run}/volumes"

    @property
    def events(self) -> str:
        """The journal of what happened."""
        return f"{self.run}/events.log"

    def container(self, ident: str) -> str:
        """A container's own files."""
        return f"{self.root}/containers/{ident}"

    def run_dir(self, ident: str) -> str:
        """A container's runtime files."""
        return f"{self.running}/{ident}"

    def exit_file(self, ident: str) -> str:
        """How the container ended last."""
        return f"{self.container(ident)}/exit.json"

    def log(self, ident: str) -> str:
        """What the container has written."""
        return f"{self.container(ident)}/log.json"

    def create(self) -> None:
        """Make the directories that everything else expects."""
        for path, mode in ((self.root, 0o711), (self.run, 0o711)):
            os.makedirs(path, mode, exist_ok=True)
        for path in (f"{self.root}/containers", self.trash, self.running, self.rootfs):
            os.makedirs(path, 0o700, exist_ok=True)
