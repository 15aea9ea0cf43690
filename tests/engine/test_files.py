"""Files into and out of containers: all that a file is comes along, and nothing leaves the container's root."""

import io
import itertools
import os
import signal
import stat
import tarfile
import threading
import time
from typing import Any

import pytest

from tests.support.engines import BUSYBOX, collect, in_processes
from toolkit.core.errors import ConflictError, InvalidError, NotFoundError, StorageFullError, UnsafePathError
from toolkit.engine.container import Container
from toolkit.engine.engine import Engine
from toolkit.engine.files.ids import OVERFLOW, inside, outside
from toolkit.engine.files.unpack import Owner, unpack
from toolkit.engine.options import ContainerOptions, ExecOptions
from toolkit.engine.status import is_monitored

pytestmark = pytest.mark.needs("root", "overlay", "busybox")

_MAKE = """mkdir -p /d/sub && echo 1 >/d/a && echo 2 >/d/sub/b && ln -s /etc/passwd /d/abs && ln /d/a /d/hard
chown -R 1000:100 /d && chmod 4755 /d/a && mkfifo /d/fifo && touch -d @1000000000 /d/sub"""


def _make(engine: Engine, script: str = _MAKE, **options: Any) -> Container:
    """Return a container that runs and has made some files."""
    made = engine.containers.create(ContainerOptions(BUSYBOX, ("sleep", "1000"), **options))
    made.start()
    _in(made, script)
    return made


def _in(container: Container, script: str) -> str:
    ran = collect(container.exec(ExecOptions(("sh", "-c", script))))
    assert ran.code == 0, ran.err
    return ran.out


def _get(container: Container, path: str) -> tarfile.TarFile:
    out = io.BytesIO()
    container.files.get(path, out)
    out.seek(0)
    return tarfile.open(fileobj=out)


def _tar(*members: tuple[str, dict[str, Any]]) -> io.BytesIO:
    """Return a tar of these members: name, and fields of TarInfo or its content."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, fields in members:
            info = tarfile.TarInfo(name)
            content = fields.pop("content", b"")
            for field, value in fields.items():
                setattr(info, field, value)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    out.seek(0)
    return out


@pytest.fixture(params=["running", "stopped"])
def container(request: pytest.FixtureRequest, engine: Engine) -> Container:
    """Return a container with files, that runs or has been stopped."""
    made = _make(engine)
    if request.param == "stopped":
        made.stop(0)
    return made


def test_everything_that_a_file_is_comes_out(container: Container) -> None:
    with _get(container, "/d") as archive:
        members = {member.name: member for member in archive}
    assert list(members) == ["d", "d/a", "d/abs", "d/fifo", "d/hard", "d/sub", "d/sub/b"]
    assert (members["d/a"].mode, members["d/a"].uid, members["d/a"].gid) == (0o4755, 1000, 100)
    assert (members["d/abs"].issym(), members["d/abs"].linkname) == (True, "/etc/passwd")
    assert members["d/fifo"].isfifo()
    assert (members["d/hard"].islnk(), members["d/hard"].linkname) == (True, "d/a")
    assert members["d/sub"].mtime == 1_000_000_000


def test_everything_that_a_file_is_goes_in(container: Container) -> None:
    entries = _tar(
        ("x", {"type": tarfile.DIRTYPE, "mode": 0o750, "mtime": 1_000_000_000}),
        ("x/f", {"content": b"text", "mode": 0o2711, "uid": 7, "gid": 8}),
        ("x/l", {"type": tarfile.SYMTYPE, "linkname": "/nowhere"}),
        ("x/h", {"type": tarfile.LNKTYPE, "linkname": "x/f"}),
        ("x/p", {"type": tarfile.FIFOTYPE, "mode": 0o600}),
        ("x/c", {"type": tarfile.CHRTYPE, "devmajor": 1, "devminor": 5, "mode": 0o600}),
    )
    assert container.files.put("/d", entries) == 4
    with _get(container, "/d/x") as archive:
        members = {member.name: member for member in archive}
        assert archive.extractfile("x/f").read() == b"text"  # type: ignore[union-attr]  # it is a file
    assert (members["x/f"].mode, members["x/f"].uid, members["x/f"].gid) == (0o2711, 7, 8)
    assert (members["x"].mode, members["x"].mtime) == (0o750, 1_000_000_000)
    assert members["x/l"].linkname == "/nowhere"
    assert members["x/h"].islnk()
    assert members["x/p"].isfifo()
    assert (members["x/c"].devmajor, members["x/c"].devminor) == (1, 5)


def test_extended_attributes_go_both_ways(container: Container) -> None:
    headers = {"SCHILY.xattr.user.color": "blue", "SCHILY.xattr.trusted.t": "1"}
    container.files.put("/d", _tar(("f", {"content": b"x", "pax_headers": headers})))
    with _get(container, "/d/f") as archive:
        found = archive.getmember("f").pax_headers
    assert {key: value for key, value in found.items() if "xattr" in key} == headers


def test_files_that_were_put_in_are_there_when_it_starts(container: Container) -> None:
    container.files.put("/", _tar(("new", {"content": b"text"})))
    container.start()
    assert _in(container, "cat /new") == "text"


def test_container_that_was_never_started_takes_files(engine: Engine) -> None:
    made = engine.containers.create(ContainerOptions(BUSYBOX, ("cat", "/new")))
    assert made.files.stat("/bin/busybox").size > 0
    made.files.put("/", _tar(("new", {"content": b"text"})))
    attachment = made.start(attach=True)
    assert attachment is not None
    assert collect(attachment).out == "text"


def test_path_says_what_the_entries_begin_with(container: Container) -> None:
    for path, first in (("/d", "d"), ("/d/", "d"), ("/d/.", "."), ("d", "d"), ("/d/sub/..", "d"), ("/d/a", "a")):
        with _get(container, path) as archive:
            assert archive.getnames()[0] == first, path


@pytest.mark.parametrize(
    ("path", "error", "text"),
    [
        ("/nope", NotFoundError, "Could not find the file /nope in container"),
        ("/nope/x", NotFoundError, "Could not find the file /nope/x in container"),
        ("/d/a/", InvalidError, "not a directory"),
        ("/d/a/x", InvalidError, "not a directory"),
        ("", InvalidError, "path in the container is empty"),
    ],
)
def test_path_that_is_not_there(container: Container, path: str, error: type[Exception], text: str) -> None:
    with pytest.raises(error, match=text):
        container.files.get(path, io.BytesIO())


@pytest.mark.parametrize(("path", "text"), [("/nope", "Could not find the file /nope"), ("/d/a", "extraction point")])
def test_target_must_be_a_directory(container: Container, path: str, text: str) -> None:
    with pytest.raises((NotFoundError, InvalidError), match=text):
        container.files.put(path, _tar(("x", {})))


def test_symlink_is_described_with_where_it_leads(container: Container) -> None:
    container.files.put(
        "/d",
        _tar(
            ("one", {"type": tarfile.SYMTYPE, "linkname": "two"}),
            ("two", {"type": tarfile.SYMTYPE, "linkname": "../../../d/./sub"}),
            ("loop", {"type": tarfile.SYMTYPE, "linkname": "loop"}),
        ),
    )
    found = container.files.stat("/d/one")
    assert (found.name, found.is_symlink, found.link_target) == ("one", True, "/d/sub")
    assert container.files.stat("/d/sub").is_directory
    with pytest.raises(InvalidError, match="circle"):
        container.files.stat("/d/loop")


# What stands in the way


def test_file_is_replaced_but_never_a_directory_by_a_file_or_the_other_way(container: Container) -> None:
    container.files.put("/d", _tar(("a", {"content": b"new"})))
    with _get(container, "/d") as archive:
        assert archive.extractfile("d/a").read() == b"new"  # type: ignore[union-attr]  # it is a file
        assert archive.extractfile("d/hard").read() == b"1\n"  # type: ignore[union-attr]  # likewise, now on its own
    with pytest.raises(ConflictError, match='cannot overwrite directory "/d/sub" with non-directory "sub"'):
        container.files.put("/d", _tar(("sub", {})))
    with pytest.raises(ConflictError, match='cannot overwrite non-directory "/d/a" with directory "a"'):
        container.files.put("/d", _tar(("a", {"type": tarfile.DIRTYPE})))


def test_symlink_in_the_way_is_replaced_and_not_followed(container: Container) -> None:
    container.files.put("/d", _tar(("abs", {"content": b"mine"})))
    assert stat.S_ISREG(container.files.stat("/d/abs").mode)
    with _get(container, "/etc/passwd") as archive:
        assert b"root" in archive.extractfile("passwd").read()  # type: ignore[union-attr]  # it is a file


def test_what_is_mounted_in_a_container_is_not_replaced_and_stays_mounted(engine: Engine) -> None:
    made = _make(engine, "true")
    before = _in(made, "cat /etc/hosts; grep -c /etc/hosts /proc/mounts")
    with pytest.raises(ConflictError, match='cannot replace "/etc/hosts": something is mounted on it'):
        made.files.put("/etc", _tar(("hosts", {"content": b"x"})))
    assert _in(made, "cat /etc/hosts; grep -c /etc/hosts /proc/mounts") == before
    made.stop(0)
    with pytest.raises(ConflictError, match="something is mounted on it"):
        made.files.put("/etc", _tar(("hosts", {"content": b"x"})))


def test_files_of_the_kernel_come_out_with_what_is_in_them(engine: Engine) -> None:
    made = _make(engine, "true")
    with _get(made, "/proc/version") as archive:
        content = archive.extractfile("version").read()  # type: ignore[union-attr]  # it is a file
    assert content.startswith(b"Linux version")


def test_read_only_root_takes_nothing_but_its_tmpfs_does(engine: Engine) -> None:
    made = _make(engine, "true", read_only=True, tmpfs={"/t": ""})
    with pytest.raises(ConflictError, match="container rootfs is marked read-only"):
        made.files.put("/", _tar(("x", {})))
    made.files.put("/t", _tar(("x", {"content": b"y"})))
    assert _in(made, "cat /t/x") == "y"
    made.stop(0)
    with pytest.raises(ConflictError, match="container rootfs is marked read-only"):
        made.files.put("/", _tar(("x", {})))


def test_full_tmpfs_says_so(engine: Engine) -> None:
    made = _make(engine, "true", tmpfs={"/t": "size=16k"})
    with pytest.raises(StorageFullError, match="no space left"):
        made.files.put("/t", _tar(("x", {"content": bytes(100_000)})))


@pytest.mark.parametrize("content", [b"junk", b"x" * 2000, _tar(("x", {"content": bytes(5000)})).getvalue()[:2000]])
def test_what_is_no_whole_tar_is_refused(container: Container, content: bytes) -> None:
    with pytest.raises(InvalidError, match="error processing tar file"):
        container.files.put("/d", io.BytesIO(content))


def test_compressed_tar_is_taken_too(container: Container) -> None:
    import gzip

    container.files.put("/d", io.BytesIO(gzip.compress(_tar(("z", {"content": b"ok"})).getvalue())))
    assert container.files.stat("/d/z").size == 2


def test_container_that_takes_files_cannot_be_started_meanwhile(engine: Engine) -> None:
    made = engine.containers.create(ContainerOptions(BUSYBOX, ("true",)))
    reader, writer = os.pipe()
    failure: list[BaseException] = []

    def put() -> None:
        try:
            with open(reader, "rb") as stream:
                made.files.put("/", stream)
        except InvalidError as exc:
            failure.append(exc)

    thread = threading.Thread(target=put)
    thread.start()
    with open(writer, "wb") as file:
        file.write(_tar(("x", {"content": bytes(100)})).getvalue()[:600])
        file.flush()
        while not is_monitored(made.run_dir):  # there, and locked
            pass
        assert made.status == "created"
        with pytest.raises(ConflictError, match="started or removed by someone else"):
            made.start()
    thread.join()
    assert len(failure) == 1
    made.start()
    assert made.wait() == 0


@pytest.mark.parametrize("runs", [True, False])
def test_copy_that_is_killed_in_the_middle_leaves_a_container_that_can_be_started(
    engine: Engine, *, runs: bool
) -> None:
    made = _make(engine)
    if not runs:
        made.stop(0)
    before = _mounts()

    class Dying(io.RawIOBase):
        def __init__(self) -> None:
            self.rest = _tar(("d/one", {"content": b"1"}), ("d/two", {"content": bytes(100_000)}))

        def readable(self) -> bool:
            return True

        def read(self, size: int = -1) -> bytes:
            if self.rest.tell() > 20_000:
                os.kill(os.getpid(), signal.SIGKILL)
            return self.rest.read(size)

    def put(mine: Engine, _number: int) -> int:
        mine.containers.get(made.id).files.put("/", Dying())  # type: ignore[arg-type]  # it reads
        return 0

    assert in_processes(engine, 1, put) == [-signal.SIGKILL]
    assert _mounts() == before
    with Engine.open(engine.paths.root, engine.paths.run) as next_one:
        one = next_one.containers.get(made.id)
        assert one.status == ("running" if runs else "exited")
        one.stop(0)
        one.start()
        assert collect(one.exec(ExecOptions(("cat", "/d/one")))).out == "1"
        one.remove(force=True)


def _mounts() -> str:
    with open("/proc/self/mounts") as file:
        return file.read()


# Ids


def test_owner_in_a_user_namespace_is_as_its_programs_see_it(engine: Engine) -> None:
    made = _make(engine, userns_mode="private")
    made.files.put("/d", _tar(("f", {"uid": 5, "gid": 6}), ("big", {"uid": 4_000_000})))
    assert _in(made, "stat -c %u:%g /d/f /d/big").split() == ["5:6", "0:0"]
    for _again in range(2):
        with _get(made, "/d") as archive:
            assert (archive.getmember("d/a").uid, archive.getmember("d/f").gid) == (1000, 6)
        made.stop(0)


def test_ids_are_mapped_both_ways() -> None:
    ids = ((0, 100_000, 10), (10, 500, 5))
    assert [inside(ids, each) for each in (100_003, 502, 7)] == [3, 12, OVERFLOW]
    assert [outside(ids, each) for each in (3, 12, 99)] == [100_003, 502, 100_000]
    assert inside((), 7) == outside((), 7) == 7


def test_files_can_become_those_of_the_containers_user(engine: Engine) -> None:
    made = _make(engine, "true", user="ada")
    made.files.put("/tmp", _tar(("f", {"uid": 5, "gid": 6})), gives_to_user=True)
    assert _in(made, "stat -c %u:%g /tmp/f") == "1000:1000\n"


# Nothing leaves the root


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/../out"])
def test_entry_that_would_lie_outside_is_refused(container: Container, name: str) -> None:
    with pytest.raises(UnsafePathError, match="outside of the target"):
        container.files.put("/d/sub", _tar((name, {"content": b"x"})))
    with pytest.raises(NotFoundError):
        container.files.stat("/d/out")


def test_hard_link_to_a_file_outside_is_refused(container: Container) -> None:
    link = ("h", {"type": tarfile.LNKTYPE, "linkname": "../../../../etc/passwd"})
    with pytest.raises(UnsafePathError):
        container.files.put("/d", _tar(link))


def test_symlinks_of_the_container_lead_to_its_own_files(container: Container, tmp_path: os.PathLike[str]) -> None:
    secret = f"{tmp_path}/secret"
    with open(secret, "w") as file:
        file.write("of the host")
    links = _tar(
        ("host", {"type": tarfile.SYMTYPE, "linkname": str(tmp_path)}),
        ("up", {"type": tarfile.SYMTYPE, "linkname": "../" * 20 + str(tmp_path).lstrip("/")}),
        ("root", {"type": tarfile.SYMTYPE, "linkname": "/proc/1/root"}),
    )
    container.files.put("/d", links)
    for path in ("/d/host/secret", "/d/up/secret", f"/d/root{secret}", "/d/host/"):
        with pytest.raises((NotFoundError, InvalidError), match=r"Could not find the file|through /proc"):
            container.files.get(path, io.BytesIO())
        with pytest.raises((NotFoundError, InvalidError), match=r"Could not find the file|through /proc"):
            container.files.put(path.removesuffix("/secret"), _tar(("x", {})))
    assert os.listdir(tmp_path) == ["secret"]


def test_entries_below_a_planted_symlink_stay_inside(container: Container, tmp_path: os.PathLike[str]) -> None:
    container.files.put(
        "/d",
        _tar(("l", {"type": tarfile.SYMTYPE, "linkname": str(tmp_path)}), ("l/evil", {"content": b"x"})),
    )
    assert os.listdir(tmp_path) == []


def test_symlink_that_comes_and_goes_never_leads_out(engine: Engine, tmp_path: os.PathLike[str]) -> None:
    """CVE-2018-15664's class: the container swaps a directory for a symlink while files are copied."""
    os.mkdir(f"{tmp_path}/host")
    with open(f"{tmp_path}/host/f", "w") as file:
        file.write("of the host")
    swap = "while :; do ln -s $HOST /x; rm /x; mv /real /x; usleep 5000; mv /x /real; done"
    swap = f"HOST={tmp_path}/host; mkdir /real && echo mine > /real/f; {swap}"
    made = engine.containers.create(ContainerOptions(BUSYBOX, ("sh", "-c", swap)))
    made.start()
    seen = 0
    deadline = time.monotonic() + 60
    for again in itertools.count():
        if time.monotonic() > deadline or (seen and again >= 300):
            break
        try:
            with _get(made, "/x/f") as archive:
                assert archive.extractfile("f").read() == b"mine\n"  # type: ignore[union-attr]  # it is a file
            seen += 1
        except (NotFoundError, InvalidError, tarfile.ReadError):
            pass
        try:
            made.files.put("/x", _tar(("g", {"content": b"x"})))
        except (NotFoundError, InvalidError, OSError):
            pass
    assert os.listdir(f"{tmp_path}/host") == ["f"]
    assert seen > 0


def test_what_a_container_sends_stays_in_the_directory_it_is_sent_to(tmp_path: os.PathLike[str]) -> None:
    os.mkdir(f"{tmp_path}/out")
    os.mkdir(f"{tmp_path}/in")
    os.symlink(f"{tmp_path}/out", f"{tmp_path}/in/l")
    fd = os.open(f"{tmp_path}/in", os.O_PATH)
    try:
        unpack(_tar(("l/evil", {"content": b"x"})), fd, "/")
    finally:
        os.close(fd)
    assert os.listdir(f"{tmp_path}/out") == []


def test_what_comes_out_gives_nobody_its_makers_powers(tmp_path: os.PathLike[str]) -> None:
    capability = b"\x01\0\0\x02\x20\0\0\0" + bytes(12)  # struct vfs_cap_data, version 2: CAP_KILL
    headers = {"SCHILY.xattr.security.capability": capability.decode("latin-1"), "SCHILY.xattr.user.note": "x"}
    entry = ("f", {"content": b"x", "mode": 0o6755, "uid": 1000, "pax_headers": headers})
    fd = os.open(tmp_path, os.O_PATH)
    try:
        unpack(_tar(entry), fd, "/", owner=Owner(keeps=True))
        made = os.stat(f"{tmp_path}/f")
        assert (made.st_uid, stat.S_IMODE(made.st_mode)) == (os.geteuid(), 0o755)
        assert "security.capability" not in os.listxattr(f"{tmp_path}/f")
        unpack(_tar(entry), fd, "/")
        made = os.stat(f"{tmp_path}/f")
        assert (made.st_uid, stat.S_IMODE(made.st_mode)) == (1000, 0o6755)
        assert "security.capability" in os.listxattr(f"{tmp_path}/f")
    finally:
        os.close(fd)


def test_no_mount_is_left_and_none_is_seen_on_the_host(container: Container, engine: Engine) -> None:
    with open("/proc/self/mounts") as file:
        before = file.read()
    seen: list[str] = []

    class Looking(io.BytesIO):
        def write(self, content: Any) -> int:
            with open("/proc/self/mounts") as mounts:
                seen.append(mounts.read())
            return super().write(content)

    container.files.export(Looking())
    assert seen
    assert set(seen) == {before}
    assert [thread.name for thread in threading.enumerate() if thread.name == "mounts"] == []


# What it changed, and all that it is


def test_changes(container: Container) -> None:
    found = [f"{change.kind} {change.path}" for change in container.files.changes()]
    assert found == ["A /d", "A /d/a", "A /d/abs", "A /d/fifo", "A /d/hard", "A /d/sub", "A /d/sub/b"]


def test_changed_and_deleted_files_are_told_apart(engine: Engine) -> None:
    made = _make(engine, "echo x >> /etc/passwd; rm /bin/ls; rm -r /home; chmod 700 /root; touch /etc/new")
    found = [f"{change.kind} {change.path}" for change in made.files.changes()]
    expected = ["C /bin", "D /bin/ls", "C /etc", "A /etc/new", "C /etc/passwd", "D /home", "C /root"]
    assert found == expected


def test_export_is_the_image_with_the_changes_and_nothing_mounted(container: Container) -> None:
    out = io.BytesIO()
    container.files.export(out)
    out.seek(0)
    with tarfile.open(fileobj=out) as archive:
        names = archive.getnames()
    assert {"bin/busybox", "d/a", "etc/passwd", "proc", "d/sub/b"} <= set(names)
    assert not [name for name in names if name.startswith("proc/")]


def test_size_is_what_the_container_itself_wrote(engine: Engine) -> None:
    made = _make(engine, "head -c 100000 /dev/zero > /x; head -c 50000 /dev/zero > /dev/shm/y")
    assert 100_000 <= made.files.size() < 101_000
