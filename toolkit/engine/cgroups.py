"""Where a container's cgroups are on this host, in the runtime's terms."""

import os

from toolkit.linux import cgroup
from toolkit.linux.cgroup.resources import without_swap
from toolkit.runtime import placement

TYPE_CHECKING = False
if TYPE_CHECKING:
    from toolkit.linux.cgroup.resources import Resources
    from toolkit.linux.cgroup.stats import Stats
    from toolkit.runtime.plan import Cgroup

_PARENT = "/container-toolkit"


class Cgroups:
    """The cgroups of one engine's containers."""

    def __init__(self, parent: str = _PARENT) -> None:
        """Keep all groups below `parent`."""
        self._parent = parent
        self._hierarchy = cgroup.detect()

    def name(self, ident: str) -> str:
        """Return the group's path, the same in every hierarchy."""
        return f"{self._parent}/{ident}"

    def place(self, ident: str, resources: "Resources") -> "Cgroup":
        """Return what the plan must know: what to make, to write, to join and to show.

        Raises:
            UnsupportedError: a limit whose controller this host lacks.
        """
        name = self.name(ident)
        return placement.place(self._hierarchy, name, self.holdable(resources))

    def holdable(self, resources: "Resources") -> "Resources":
        """Return the limits that this kernel can hold: as docker, memory is limited even where swap is not."""
        return resources if self.limits_swap else without_swap(resources)

    def home(self) -> tuple[str, ...]:
        """Return where processes go that must outlive whoever starts them, as `runtime.client.Zygote` takes it.

        Who is started from a notebook in a user's slice would be limited with it, and end with it.
        """
        mine = self._hierarchy.memberships()
        tasks = tuple(f"{mount}/tasks" for mount in dict.fromkeys(mine) if mount != self._hierarchy.v2)
        directory = ""
        if self._hierarchy.v2 in mine:
            directory = f"{self._hierarchy.v2}{self._parent}/engine"
            try:
                os.makedirs(directory, 0o755, exist_ok=True)
            except OSError:
                directory = ""  # read-only, or not delegated to us: it stays where it is
        return (directory, *tasks)

    def under(self, parent: str) -> "Cgroups":
        """Return the same for containers below another parent (--cgroup-parent); empty: this one."""
        if not parent:
            return self
        made = Cgroups.__new__(Cgroups)
        made._parent = f"/{parent.strip('/')}"  # noqa: SLF001 - of this class
        made._hierarchy = self._hierarchy  # noqa: SLF001 - likewise
        return made

    def is_v1(self, controller: str) -> bool:
        """Tell whether a controller is cgroup v1's here."""
        return controller in self._hierarchy.v1

    def has_file(self, controller: str, v1_file: str, v2_file: str) -> bool:
        """Tell whether groups here have a file of a controller; the root of a hierarchy lacks some."""
        self._hierarchy.make_parents(self.name("any"))
        return self._hierarchy.has_file(controller, v1_file if self.is_v1(controller) else v2_file)

    def real_time_of_parent(self) -> tuple[int, str]:
        """Return how many microseconds of real-time CPU time the groups' parent has (v1), and the file that says so."""
        path = f"{self._hierarchy.v1['cpu']}{self._parent}/cpu.rt_runtime_us"
        self._hierarchy.make_parents(self.name("any"), {"cpu": {"shares": 1024}})
        with open(path) as file:
            return int(file.read()), path

    @property
    def limits_swap(self) -> bool:
        """Whether this kernel can limit swap."""
        return self._hierarchy.limits_swap()

    def directories(self, ident: str, resources: "Resources") -> tuple[str, ...]:
        """Return the directories that are the container's."""
        return tuple(self._hierarchy.directories(self.name(ident), resources))

    def directory(self, ident: str, controller: str) -> str:
        """Return the container's directory in which a controller's files are, for whoever wants to look at them.

        Raises:
            UnsupportedError: this host lacks the controller.
        """
        return self._hierarchy.path(self.name(ident), controller)

    def join_files(self, ident: str, resources: "Resources", pid: int) -> tuple[str, ...]:
        """Return where a process writes "0" to get into the container's groups, beside its process `pid`."""
        usual = placement.join_files(self._hierarchy, self.directories(ident, resources))
        return self._hierarchy.beside(self.name(ident), usual, pid)

    def prepare(self, ident: str, resources: "Resources") -> None:
        """Make the parents of the container's groups, and have them hand their controllers down."""
        self._hierarchy.make_parents(self.name(ident), resources)

    def holder(self, ident: str) -> str:
        """Return the container's directory in which all its processes can be killed: v2's, or the v1 freezer's."""
        return self._hierarchy.holder(self.name(ident))

    def oom_file(self, ident: str) -> str:
        """Return where out-of-memory kills are counted, or ""."""
        if self._hierarchy.mount_of("memory") is None:
            return ""
        file = "memory.oom_control" if "memory" in self._hierarchy.v1 else "memory.events"
        return f"{self._hierarchy.path(self.name(ident), 'memory')}/{file}"

    def stats(self, ident: str) -> "Stats":
        """Return what the container uses."""
        return self._hierarchy.stats(self.name(ident))

    def pids(self, ident: str) -> list[int]:
        """Return the host's pids of its processes."""
        return self._hierarchy.pids(self.name(ident), recursive=True)

    def update(self, ident: str, resources: "Resources") -> None:
        """Change the limits of a running container; what `resources` does not name stays.

        Raises:
            ConflictError: as `Hierarchy.update`.
            InvalidError: values that contradict each other.
            UnsupportedError: a limit that this host does not have.
            SyscallError: what the kernel thinks of a value.
        """
        if not self.limits_swap:
            resources = without_swap(resources)
        self._hierarchy.update(self.name(ident), resources)

    def freeze(self, ident: str) -> None:
        """Stop every process of the container where it stands, and wait until all have stopped.

        Raises:
            UnsupportedError: neither v2 nor v1's freezer is here.
            TimeoutError: one did not stop in ten seconds; all go on.
        """
        self._hierarchy.freeze(self.name(ident))

    def thaw(self, ident: str) -> None:
        """Let the processes of the container go on."""
        self._hierarchy.thaw(self.name(ident))

    def is_frozen(self, ident: str) -> bool:
        """Tell whether every process of the container stands still."""
        return self._hierarchy.is_frozen(self.name(ident))

    def destroy(self, ident: str) -> None:
        """Kill what is left in the container's groups and remove them."""
        name = self.name(ident)
        if self._hierarchy.present(name):
            self._hierarchy.kill_all(name)
            self._hierarchy.remove(name)

    @property
    def kind(self) -> str:
        """Which cgroup layout this is: "v1", "v2", "hybrid" or "none"."""
        return self._hierarchy.kind

    @property
    def controllers(self) -> frozenset[str]:
        """What can be limited here."""
        return self._hierarchy.controllers()
