"""The deeds: make a group, limit it, join it, watch it, freeze it, kill it, remove it.

One class serves v1, v2 and hybrid hosts, since each controller is looked up on
its own: it is in the v1 hierarchy that mounts it, else in the v2 one that lists
it.  In hybrid no v2 directory is made unless a limit needs one, although
cgroup.kill, cgroup.freeze and PSI would work there: to move a process into it
takes 5 to 12 ms (cgroup_threadgroup_rwsem, a grace period of all CPUs), where
"0" into v1's `tasks` takes 0.03, and freezer and cpuacct do most of the same.
"""

import os
import time
from functools import lru_cache

from toolkit.core.errors import ConflictError, EngineError, InvalidError, UnsupportedError
from toolkit.core.record import NamedTuple
from toolkit.linux.cgroup import files, layout, members, stats, v1, v2
from toolkit.linux.cgroup.resources import controllers as controllers_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from toolkit.linux.cgroup.resources import Memory, Resources, Setting
    from toolkit.linux.cgroup.stats import Stats

ACCOUNTED = ("memory", "pids", "blkio")
"""What every container is counted by, limits or not (CPU time comes with the v2 directory)."""
UNIFIED = ""
"""The name of the v2 hierarchy itself, where /proc/PID/cgroup has an empty field."""
_V2_NAME = {"blkio": "io"}
_LIMITING = frozenset(("blkio", "cpu", "cpuset", "devices", "freezer", "memory", "pids"))
_REMOVE_TIMEOUT_S = 2.0
_SETTLE_TIMEOUT_S = 10.0


class Hierarchy(NamedTuple):
    """The cgroup hierarchies of this host."""

    v1: dict[str, str]
    """Controller to mount point, those of version 1."""
    v2: str
    """Mount point of version 2; empty if there is none."""
    v2_controllers: frozenset[str]
    """What the v2 hierarchy has to hand down."""
    has_systemd: bool = False
    """Whether systemd runs, so that its own v1 hierarchy must be joined too."""
    accounted: tuple[str, ...] = ACCOUNTED
    """The controllers in which every container has a group, limits or not."""

    @property
    def kind(self) -> str:
        """Return "v1", "v2", "hybrid" or "none".

        What matters is where limits are kept: net_cls or perf_event alone in v1,
        as some hosts mount them for old programs, make no hybrid.
        """
        if not _LIMITING.isdisjoint(self.v1):
            return "hybrid" if self.v2 else "v1"
        return "v2" if self.v2 else "none"

    @property
    def is_held_by_v2(self) -> bool:
        """Whether groups are frozen, killed and timed in v2; else it is done with v1's freezer and cpuacct."""
        return bool(self.v2) and "freezer" not in self.v1

    def controllers(self) -> frozenset[str]:
        """Return the controllers that can be used here, by their own names ("io" is v2's "blkio")."""
        return self.v2_controllers | {name for name in self.v1 if not name.startswith("name=")}

    def with_all(self) -> "Hierarchy":
        """Return the same cgroups for containers that have a group in every hierarchy, as runc's do."""
        v2_names = {name: old for old, name in _V2_NAME.items()}
        in_v2 = sorted(v2_names.get(name, name) for name in self.v2_controllers)
        return self._replace(accounted=(*self.v1, *in_v2, UNIFIED))

    def mount_of(self, controller: str) -> str | None:
        """Return the mount point of the hierarchy that has `controller`; "" asks for v2 itself."""
        if controller == UNIFIED:
            return self.v2 or None
        if controller in self.v1:
            return self.v1[controller]
        return self.v2 if _V2_NAME.get(controller, controller) in self.v2_controllers else None

    def limits_swap(self) -> bool:
        """Return whether this kernel can limit swap; many boot without (swapaccount=0), and v1 then lacks the file.

        On v2 the root has no limits of its own, so any group below it that has the controller is asked.
        """
        if "memory" in self.v1:
            return os.path.exists(f"{self.v1['memory']}/memory.memsw.limit_in_bytes")
        for directory in members.children(self.v2) if "memory" in self.v2_controllers else []:
            if os.path.exists(f"{directory}/memory.max"):
                return os.path.exists(f"{directory}/memory.swap.max")
        return "memory" in self.v2_controllers

    def has_file(self, controller: str, file: str) -> bool:
        """Return whether a group of `controller` has `file`: the root or any group below it is asked."""
        mount = self.mount_of(controller)
        if mount is None:
            return False
        return any(os.path.exists(f"{directory}/{file}") for directory in (mount, *members.children(mount)))

    # Pure: what would be done

    def needed(self, resources: "Resources | None" = None, accounted: tuple[str, ...] | None = None) -> tuple[str, ...]:
        """Return the controllers to make a group in, for limits, accounting, devices and kill.

        Args:
            resources: the limits.
            accounted: what to count besides, if not what `self.accounted` says; one that this host lacks is left out.

        Raises:
            InvalidError: a unified resource that is no name of a file.
            UnsupportedError: a limit whose controller is not there, by its name.
        """
        _check_unified((resources or {}).get("unified", {}))
        limited = controllers_of(resources or {})
        for controller, purpose in limited.items():
            if self.mount_of(controller) is None:
                message = f"the cgroup controller {controller} is not available, which {purpose} needs"
                raise UnsupportedError(message, hint=self.cure(controller))
        wanted = dict.fromkeys((*(self.accounted if accounted is None else accounted), *limited))
        for controller in ("devices", "name=systemd" if self.has_systemd else "devices"):
            wanted[controller] = None
        if self.is_held_by_v2 or (resources or {}).get("unified"):
            wanted[UNIFIED] = None
        if not self.is_held_by_v2:
            wanted["freezer"] = wanted["cpuacct"] = None
        return tuple(controller for controller in wanted if self.mount_of(controller) is not None)

    def cure(self, controller: str) -> str:
        """Return what helps where no hierarchy here has `controller`; some new kernels have memory in v2 only."""
        if self.kind in ("v1", "hybrid"):
            mounted = f"mount -t cgroup -o {controller} cgroup /sys/fs/cgroup/{controller}"
            boot = f"cgroup_enable={controller} systemd.unified_cgroup_hierarchy=1"
            return f"mount it: {mounted}; where this kernel will not, boot with {boot}"
        name = _V2_NAME.get(controller, controller)
        return f"have it handed down: +{name} in cgroup.subtree_control of the parent, or cgroup_enable={name} at boot"

    def path(self, name: str, controller: str = UNIFIED) -> str:
        """Return the directory of the group in the hierarchy of `controller`.

        Raises:
            UnsupportedError: there is no such hierarchy here.
        """
        mount = self.mount_of(controller)
        if mount is None:
            message = f"no cgroup hierarchy here has {controller or 'version 2'}"
            raise UnsupportedError(message, hint=self.cure(controller))
        return mount + _checked(name)

    def directories(self, name: str, resources: "Resources | None" = None) -> list[str]:
        """Return the directories that `create` makes, parents left out."""
        return layout.unique(self.path(name, controller) for controller in self.needed(resources))

    def writes(self, name: str, resources: "Resources", *, memory_limit: int | None = None) -> list[tuple[str, str]]:
        """Return every (path, value) that `limit` writes, in order.

        Args:
            name: the group.
            resources: the limits.
            memory_limit: bytes, the present limit where a group is updated (v1 only).

        Raises:
            InvalidError: values that contradict each other.
            UnsupportedError: a limit that this version of cgroups does not have.
        """
        self.needed(resources)
        if "memory" not in self.v1 and self.v2:
            _refuse_v1_only(resources)
        for file in resources.get("unified", {}):
            controller = file.partition(".")[0]
            if controller not in self.v2_controllers and not (self.v2 and controller == "cgroup"):
                message = f"this host has no cgroup v2 with the controller {controller}, which {file} needs"
                raise UnsupportedError(message, hint="leave it out, or boot with systemd.unified_cgroup_hierarchy=1")
        settings: list[Setting] = []
        if self.v1:
            of_v1: Resources = resources if "devices" in self.v1 else {**resources, "devices": []}
            settings += (each for each in v1.settings(of_v1, memory_limit=memory_limit) if each.controller in self.v1)
        in_v1 = {_V2_NAME.get(controller, controller) for controller in self.v1}
        if self.v2:
            settings += (each for each in v2.settings(resources) if each.controller not in in_v1)
        chosen = (self._existing(name, each) for each in settings)
        return [(f"{self._path_of(name, each.controller)}/{each.file}", each.value) for each in chosen]

    def _path_of(self, name: str, controller: str) -> str:
        return self.v1.get(controller, self.v2) + _checked(name)

    def _existing(self, name: str, setting: "Setting") -> "Setting":
        """Return the setting for the file that this kernel has, where there are two by which it may be given."""
        if not setting.alternatives:
            return setting
        mount = self.v1.get(setting.controller, self.v2)
        directory = mount + _checked(name)
        while not os.path.isdir(directory):
            directory = os.path.dirname(directory)
        if directory == mount:
            return setting  # the root has none of the files of the groups below it
        for each in (setting, *setting.alternatives):
            if os.path.exists(f"{directory}/{each.file}"):
                return each
        return setting  # and to write it fails, with the file's name

    def device_program(self, resources: "Resources") -> bytes:
        """Return the BPF program that holds the device rules; empty where v1's controller does, or there are none."""
        rules = resources.get("devices")
        if not rules or "devices" in self.v1 or not self.v2:
            return b""
        from toolkit.linux.cgroup import devices

        return devices.program(rules)

    # Deeds

    def create(self, name: str, resources: "Resources | None" = None) -> None:
        """Make the group in every hierarchy that `needed` names, and write its limits.

        Groups that are there already are kept as they are; if a limit cannot be
        written, those that were made are removed again.

        Raises:
            UnsupportedError: a controller or a file that this host lacks.
            SyscallError: EROFS, EACCES, or what the kernel thinks of a value.
        """
        self.make_parents(name, resources)
        made = [directory for directory in self.directories(name, resources) if files.make(directory)]
        try:
            for directory in made:
                self._inherit(directory)
            if resources:
                self.limit(name, resources)
                self.limit_devices(name, resources)
        except EngineError:
            for directory in made:
                files.remove(directory)
            raise

    def make_parents(self, name: str, resources: "Resources | None" = None) -> None:
        """Make the groups above the group, and have v2 hand down what it needs.

        Raises:
            UnsupportedError: a controller that this host lacks.
            SyscallError: EBUSY where a parent holds processes of its own, which
                v2 does not allow together with controllers.
        """
        needed = self.needed(resources)
        for directory in layout.unique(self.path(name, controller) for controller in needed):
            mount = directory.removesuffix(name)
            parents = [mount]
            for part in name.split("/")[1:-1]:
                parents.append(f"{parents[-1]}/{part}")
                if not os.path.isdir(parents[-1]) and files.make(parents[-1]):
                    self._inherit(parents[-1])
            if mount == self.v2:
                for parent in parents:
                    self._hand_down(parent, needed)

    def _inherit(self, directory: str) -> None:
        """Copy to a new v1 group what it does not inherit: the CPUs it may use, and to count its children."""
        parent = directory.rpartition("/")[0]
        if directory.startswith(self.v1.get("cpuset", "\0") + "/"):
            for file in ("cpuset.cpus", "cpuset.mems"):
                if not files.read(f"{directory}/{file}").strip():
                    files.write(f"{directory}/{file}", files.read(f"{parent}/{file}").strip())
        # Until Linux 5.11, where 1 became the only value.
        if (
            directory.startswith(self.v1.get("memory", "\0") + "/")
            and files.find(f"{directory}/memory.use_hierarchy") == "0\n"
        ):
            files.write(f"{directory}/memory.use_hierarchy", "1")

    def _hand_down(self, parent: str, needed: tuple[str, ...]) -> None:
        names = {_V2_NAME.get(each, each) for each in needed if each not in self.v1}
        wanted = names & self.v2_controllers
        if not wanted:
            return
        missing = wanted.difference(files.read(f"{parent}/cgroup.subtree_control").split())
        if missing:
            files.write(f"{parent}/cgroup.subtree_control", " ".join(f"+{each}" for each in sorted(missing)))

    def limit(self, name: str, resources: "Resources") -> None:
        """Write the limits of a group that is there."""
        files.write_all(self.writes(name, resources))

    def limit_devices(self, name: str, resources: "Resources") -> None:
        """Put the program of `device_program`, if there is one, on the group's v2 directory, in place of any other."""
        if code := self.device_program(resources):
            from toolkit.linux.bpf import replace_device_programs

            replace_device_programs(self.path(name), code)

    def present(self, name: str) -> list[str]:
        """Return the directories of the group that exist."""
        mounts = layout.unique((*self.v1.values(), *([self.v2] if self.v2 else [])))
        checked = _checked(name)
        return [mount + checked for mount in mounts if os.path.isdir(mount + checked)]

    def join_files(self, name: str) -> list[str]:
        """Return the files to write "0" to, to move the calling process into the group.

        On v1 that is `tasks`: it moves one thread and takes 0.03 ms, where
        cgroup.procs waits for all CPUs to pass a grace period, 5 ms and more
        (Documentation: cgroup_threadgroup_rwsem).  The caller has one thread.
        """
        v2_path = self.v2 + _checked(name)
        return [
            f"{directory}/{'cgroup.procs' if self.v2 and directory == v2_path else 'tasks'}"
            for directory in self.present(name)
        ]

    def beside(self, name: str, join_files: "Sequence[str]", pid: int) -> tuple[str, ...]:
        """Return `join_files`, with v2's of the group below `name` that the process `pid` is in now.

        A container that has divided its group among its own has no process in
        the group itself any more, and v2 lets none in.  As runc and crun do.
        """
        usual = f"{self.v2}{_checked(name)}/cgroup.procs"
        if not self.v2 or usual not in join_files:
            return tuple(join_files)
        path = layout.parse_membership(files.find(f"/proc/{pid}/cgroup") or "").get("", "")
        _, _, inner = path.partition(f"{name}/")
        there = f"{self.v2}{name}/{inner}/cgroup.procs" if inner else usual
        return tuple(there if each == usual else each for each in join_files)

    def join(self, name: str) -> None:
        """Move the calling process, which must have one thread, into the group."""
        for path in self.join_files(name):
            files.write(path, "0")

    def adopt(self, name: str, pid: int) -> None:
        """Move another process, with all its threads, into the group."""
        for directory in self.present(name):
            files.write(f"{directory}/cgroup.procs", str(pid))

    def open(self, name: str) -> int:
        """Open the group's v2 directory and return its descriptor, for clone3's CLONE_INTO_CGROUP."""
        return os.open(self.path(name), os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def update(self, name: str, resources: "Resources") -> None:
        """Change the limits of a running group.

        A controller that was not needed until now gets its group first, and
        every process of the container moves into it.  What `resources` does not
        name stays as it is; device rules, if there are any, replace all that stood.

        Raises:
            ConflictError: `checkBeforeUpdate` was asked for, and more memory is in use than the new limit.
            InvalidError: values that contradict each other.
            UnsupportedError: a controller or a file that this host lacks.
            SyscallError: EBUSY from v1 for a memory limit below what is in use.
        """
        self._check_memory(name, resources.get("memory", {}))
        self.make_parents(name, resources)
        for directory in self.directories(name, resources):
            if os.path.isdir(directory):
                continue
            moving = self.pids(name)
            files.make(directory)
            self._inherit(directory)
            for pid in moving:
                files.write(f"{directory}/cgroup.procs", str(pid))
        files.write_all(self.writes(name, resources, memory_limit=self._memory_limit(name)))
        self.limit_devices(name, resources)

    def _check_memory(self, name: str, memory: "Memory") -> None:
        """Refuse a limit below what is in use: v1 does by itself, v2 would kill."""
        limit = memory.get("limit", 0)
        if not memory.get("checkBeforeUpdate") or limit <= 0:
            return
        now = self.stats(name).memory
        if now is not None and now.usage_bytes > limit:
            message = f"a memory limit of {limit} bytes is below the {now.usage_bytes} that are in use"
            raise ConflictError(message, hint="choose a higher one, or have the container free some first")

    def _memory_limit(self, name: str) -> int | None:
        if "memory" not in self.v1:
            return None
        text = files.find(f"{self.path(name, 'memory')}/memory.limit_in_bytes")
        return int(text) if text else None

    def stats(self, name: str) -> "Stats":
        """Return what the group has used so far."""

        def find(controller: str, file: str) -> str | None:
            mount = self.mount_of(controller)
            return None if mount is None else files.find(f"{mount}{name}/{file}")

        is_v1 = self.v1.__contains__
        pressure = {
            what: stats.parse_pressure(text)
            for what in ("cpu", "memory", "io")
            if (text := find(UNIFIED, f"{what}.pressure"))
        }
        _checked(name)
        return stats.Stats(
            (stats.memory_v1 if is_v1("memory") else stats.memory_v2)(find),
            stats.cpu(find),
            stats.pids(find),
            (stats.block_v1 if is_v1("blkio") else stats.block_v2)(find),
            pressure,
        )

    def memberships(self) -> list[str]:
        """Return the mount points of the hierarchies in which this process is in some group below the root."""
        mine = layout.parse_membership(files.read("/proc/self/cgroup"))
        mounts = {UNIFIED: self.v2, **self.v1}
        return [mounts[each] for each, path in mine.items() if path != "/" and mounts.get(each)]

    def pids(self, name: str, *, recursive: bool = True) -> list[int]:
        """Return the processes in the group, and in the groups below it; none if it does not exist."""
        directory = self._member_directory(name)
        return members.pids(directory, recursive=recursive) if directory else []

    def _member_directory(self, name: str) -> str | None:
        checked = _checked(name)
        for controller in (UNIFIED if self.is_held_by_v2 else "freezer", "pids", "memory", "devices", *self.v1):
            mount = self.mount_of(controller)
            if mount and os.path.isdir(mount + checked):
                return mount + checked
        return None

    def freeze(self, name: str, *, timeout_s: float = _SETTLE_TIMEOUT_S) -> None:
        """Stop every process of the group where it stands, and wait until all have stopped.

        Raises:
            UnsupportedError: neither v2 nor the v1 freezer is here.
            TimeoutError: a process in an uninterruptible call did not stop in time; the group is thawed.
        """
        members.freeze(self._freezer(name), is_v2=self.is_held_by_v2, timeout_s=timeout_s)

    def thaw(self, name: str) -> None:
        """Let every process of the group go on."""
        members.thaw(self._freezer(name), is_v2=self.is_held_by_v2, timeout_s=_SETTLE_TIMEOUT_S)

    def is_frozen(self, name: str) -> bool:
        """Return whether every process of the group has stopped."""
        return members.is_frozen(self._freezer(name), is_v2=self.is_held_by_v2)

    def holder(self, name: str) -> str:
        """Return the directory in which the group is frozen and killed; empty where nothing can do that."""
        return self._freezer(name) if self.is_held_by_v2 or "freezer" in self.v1 else ""

    def _freezer(self, name: str) -> str:
        return self.path(name, UNIFIED if self.is_held_by_v2 else "freezer")

    def kill_all(self, name: str) -> None:
        """Send SIGKILL to every process of the group, those that it is forking included."""
        members.kill(self._freezer(name), "" if self.is_held_by_v2 else self._freezer(name))

    def remove(self, name: str, *, timeout_s: float = _REMOVE_TIMEOUT_S) -> None:
        """Remove the group and all groups below it from every hierarchy; one that is gone is fine.

        Raises:
            SyscallError: EBUSY if processes are still in it after `timeout_s`.
        """
        deadline = time.monotonic() + timeout_s
        for directory in self.present(name):
            members.remove_tree(directory, deadline)


@lru_cache(maxsize=256)
def _checked(name: str) -> str:
    """Return `name`, having made sure that it lies below the mount point and is not it."""
    parts = name.split("/")
    if parts[0] or not all(parts[1:]) or len(parts) == 1 or ".." in parts or "." in parts:
        message = f'invalid cgroup name: "{name}"'
        raise InvalidError(message, hint='it is a path such as "/container-toolkit/ID", without "." and ".."')
    return name


_V1_ONLY = (
    ("memory", "swappiness", "memory swappiness"),
    ("memory", "kernel", "a limit on kernel memory alone"),
    ("memory", "kernelTCP", "a limit on TCP buffers alone"),
    ("memory", "disableOOMKiller", "switching the OOM killer off"),
    ("cpu", "realtimeRuntime", "real-time CPU limits"),
    ("cpu", "realtimePeriod", "real-time CPU limits"),
)


def _check_unified(names: "Iterable[str]") -> None:
    for file in names:
        controller, dot, _ = file.partition(".")
        if "/" in file or not controller or not dot:
            message = f'invalid unified resource: "{file}"'
            raise InvalidError(message, hint='it is the name of a cgroup v2 file, such as "memory.high"')


def _refuse_v1_only(resources: "Resources") -> None:
    for group, key, title in _V1_ONLY:
        section = resources.get(group)
        if isinstance(section, dict) and section.get(key) not in (None, 0, -1, False):
            message = f"cgroup v2 does not have {title}"
            raise UnsupportedError(
                message, hint="leave the option out, or boot with systemd.unified_cgroup_hierarchy=0"
            )


def detect() -> Hierarchy:
    """Read from /proc which hierarchies this host has mounted."""
    mounted = layout.parse_mountinfo(files.read("/proc/self/mountinfo"))
    offered = files.find(f"{mounted.v2}/cgroup.controllers") if mounted.v2 else None
    has_systemd = "name=systemd" in mounted.v1 and os.path.isdir("/run/systemd/system")
    return Hierarchy(mounted.v1, mounted.v2, frozenset((offered or "").split()), has_systemd)
