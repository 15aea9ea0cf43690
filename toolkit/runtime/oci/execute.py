"""One more process in a container that was made."""

from typing import NamedTuple

from toolkit.core.errors import ConflictError, InvalidError
from toolkit.linux import cgroup, namespace
from toolkit.runtime import plan
from toolkit.runtime.oci import bundle, cgroups, lifecycle, making
from toolkit.runtime.oci.console import Console, send_listener
from toolkit.runtime.oci.state import state
from toolkit.runtime.oci.store import FILTERS, PAUSED, RUNNING, STOPPED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from toolkit.runtime.oci.log import Log
    from toolkit.runtime.oci.store import Record, Store
    from toolkit.runtime.spec import Config, Process


class Changes(NamedTuple):
    """What the flags of `exec` say instead of a whole process."""

    args: tuple[str, ...]
    cwd: str = ""
    env: tuple[str, ...] = ()
    user: str = ""
    """uid or uid:gid."""
    additional_gids: tuple[int, ...] = ()
    terminal: bool = False
    capabilities: tuple[str, ...] = ()
    no_new_privileges: bool = False
    apparmor: str = ""
    label: str = ""


def of_changes(config: "dict[str, Any]", changes: Changes) -> "Process":
    """Return the container's own process with another program, and what else was asked for.

    Raises:
        InvalidError: a user that is none, or another field that means nothing.
    """
    from toolkit.runtime import validate

    process: dict[str, Any] = {**config["process"], "args": list(changes.args), "terminal": changes.terminal}
    process["env"] = [*process.get("env", []), *changes.env]
    replacing = {"cwd": changes.cwd, "apparmorProfile": changes.apparmor, "selinuxLabel": changes.label}
    process |= {key: value for key, value in replacing.items() if value}
    if changes.no_new_privileges:
        process["noNewPrivileges"] = True
    if changes.user:
        process["user"] = _user(changes.user)
    if changes.additional_gids:
        user = process.get("user", {})
        process["user"] = {**user, "additionalGids": [*user.get("additionalGids", []), *changes.additional_gids]}
    if changes.capabilities:
        sets = process.get("capabilities", {})
        more = {kind: [*sets.get(kind, []), *changes.capabilities] for kind in ("bounding", "effective", "permitted")}
        process["capabilities"] = {**sets, **more}  # to inherit them is not asked for (CVE-2022-29162)
    return validate.process(process)


def _user(text: str) -> "dict[str, int]":
    uid, sign, gid = text.partition(":")
    if not (uid.isdecimal() and (gid.isdecimal() if sign else not gid)):
        raise InvalidError(f"--user: '{text}' is not of the form UID[:GID]", hint="names are not looked up")
    return {"uid": int(uid), "gid": int(gid)} if sign else {"uid": int(uid)}


def execute(
    store: "Store",
    ident: str,
    process: "Process",
    wishes: lifecycle.Wishes,
    log: "Log",
    *,
    ignores_paused: bool = False,
) -> lifecycle.Created:
    """Run a process in a container; return when it runs.

    Args:
        store: where the container is.
        ident: the container.
        process: checked.
        wishes: how it is to be made.
        log: takes warnings.
        ignores_paused: run it in a container that is paused, where it waits.

    Raises:
        NotFoundError: there is no such container.
        ConflictError: it does not run.
        StartError: the program cannot be executed.
    """
    record = store.read(ident)
    status = store.status(record)
    if status == STOPPED:
        raise ConflictError("cannot exec in a stopped container", hint="its first process has ended")
    if status == PAUSED and not ignores_paused:
        raise ConflictError("cannot exec in a paused container", hint="use --ignore-paused, and it runs on resume")
    config = store.read_config(ident)
    prepared = bundle.prepared_process(process, log.warning)
    document: Config = {"process": prepared, "linux": config.get("linux", {})}
    console = Console(prepared, wishes.console_socket, is_foreground=wishes.is_foreground)
    kept_fds = lifecycle.listen_fds(document, wishes.preserve_fds)
    answers = _Answers(record, console, document)
    steps = plan.exec_plan(
        document["process"],
        _target(record, cgroups.subgroups(wishes.subgroups)),
        seccomp=bundle.compiled(document, f"{store.root}/{FILTERS}", log.debug),
        creation=plan.Creation("", kept_fds=kept_fds, has_keyring=wishes.has_keyring),
    )
    made = making.make(steps, answers, kept_fds=kept_fds)
    lifecycle.write_pid_file(wishes.pid_file, made.pid)
    return lifecycle.Created(record._replace(pid=made.pid), made.pidfd, console.master)


def _target(record: "Record", subgroups: dict[str, str]) -> plan.ExecTarget:
    here = namespace.namespace_inodes()
    try:
        there = namespace.namespace_inodes(record.pid)
    except OSError as exc:
        raise ConflictError("cannot exec in a stopped container", hint="it has just ended") from exc
    hierarchy = cgroups.of_record(record, cgroup.detect())
    if not record.cgroup:
        join_files: tuple[str, ...] = ()
    elif subgroups:
        join_files = cgroups.join_files(hierarchy, record.cgroup, subgroups)
    else:
        join_files = hierarchy.beside(record.cgroup, hierarchy.join_files(record.cgroup), record.pid)
    return plan.ExecTarget(
        record.pid,
        record.start_time,
        tuple(kind for kind in there if there[kind] != here.get(kind)),
        join_files,
    )


class _Answers(making.Answers):
    """What the command does for the process while it makes itself."""

    def __init__(self, record: "Record", console: Console, config: "Config") -> None:
        self._record = record
        self._console = console
        self._config = config
        self._pid = 0

    def born(self, pid: int, start_time: int) -> None:  # noqa: ARG002 - it leaves no record
        """Note its pid."""
        self._pid = pid

    def take_master(self, fd: int) -> None:
        """Take the terminal's master to where it is wanted."""
        self._console.take(fd)

    def take_listener(self, fd: int) -> None:
        """Take the seccomp listener to who answers for the calls."""
        seccomp = self._config.get("linux", {}).get("seccomp", {})
        document = state(self._record, RUNNING)
        send_listener(seccomp.get("listenerPath", ""), fd, seccomp.get("listenerMetadata", ""), document, pid=self._pid)
