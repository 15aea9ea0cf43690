"""The runtime's own program in a container: what a hostile bundle or exec can do to it (CVE-2019-5736)."""

import errno
import os
import sys
from pathlib import Path

import pytest

from tests.support.bundles import Bundle, Runtime
from tests.support.hostile_loader import loader
from toolkit.image.embedded.elf import read_elf

pytestmark = pytest.mark.needs("root", "busybox")

ENTRIES = ("/entry", "/script", "/proc/self/exe")


@pytest.fixture
def hostile(bundle: Bundle) -> Bundle:
    """Return a bundle that is loaded into the runtime's program: its entry leads to it, and it is its loader."""
    interpreter = read_elf(os.path.realpath(sys.executable))
    if interpreter is None or not interpreter.interpreter or os.uname().machine != "x86_64":
        pytest.skip("needs a dynamically linked Python on x86_64")
    os.symlink("/proc/self/exe", bundle.rootfs / "entry")
    (bundle.rootfs / "script").write_text("#!/proc/self/exe\n")
    (bundle.rootfs / "script").chmod(0o755)
    place = bundle.rootfs / interpreter.interpreter.lstrip("/")
    place.parent.mkdir(parents=True)
    place.write_bytes(loader())
    place.chmod(0o755)
    kept = {kind: ["CAP_FOWNER", "CAP_DAC_OVERRIDE"] for kind in ("bounding", "effective", "permitted")}
    bundle.process.update(capabilities=kept, noNewPrivileges=False)
    return bundle


@pytest.mark.parametrize("entry", ENTRIES)
def test_program_cannot_be_changed_from_inside(ours: Runtime, hostile: Bundle, entry: str) -> None:
    hostile.process["args"] = [entry]
    assert ours.run(hostile).code == errno.EROFS


@pytest.mark.parametrize("entry", ENTRIES)
def test_program_cannot_be_changed_by_an_exec(ours: Runtime, hostile: Bundle, entry: str) -> None:
    hostile.process["args"] = ["sleep", "60"]
    with ours.running(hostile) as ident:
        assert ours("exec", ident, entry).code == errno.EROFS


def test_waiting_init_runs_from_what_nobody_can_reach(ours: Runtime, bundle: Bundle) -> None:
    with ours.created(bundle) as ident:
        assert os.readlink(f"/proc/{ours.state(ident)['pid']}/exe") == "/"


def test_half_made_process_cannot_be_looked_into(ours: Runtime, bundle: Bundle) -> None:
    with ours.created(bundle) as ident:
        pid = ours.state(ident)["pid"]
        assert Path(f"/proc/{pid}/maps").stat().st_uid == 0
        bundle.process["user"] = {"uid": 5, "gid": 5}
        with ours.created(bundle) as other:
            assert Path(f"/proc/{ours.state(other)['pid']}/maps").stat().st_uid == 0  # of one that is not dumpable
