"""Attacks through volumes: a container swaps what another is about to be given; images that lie in wait."""

import os
import shutil
from pathlib import Path

import pytest

from tests.support.attacker import sabotage_zygote
from tests.support.engines import BUSYBOX, add_image, run, sh
from toolkit.core.errors import EngineError, InvalidError
from toolkit.engine.engine import Engine
from toolkit.engine.options import ContainerOptions
from toolkit.volume.mount import VOLUME, MountSpec

pytestmark = pytest.mark.needs("root", "overlay", "busybox")
PART = MountSpec(VOLUME, "/m", "vol", subpath="part/in")
_SWAP = """
mkdir -p /v/real/in /v/part/in; echo real > /v/real/in/whose; echo real > /v/part/in/whose
ln -s {outside} /v/trap; touch /v/ready
while :; do
    mv /v/part /v/away; mv /v/trap /v/part
    mv /v/part /v/trap; mv /v/away /v/part
done
"""
_OPEN_BY_PATH = """
    import os
    from toolkit.runtime.steps import mounts
    mounts._open_below = lambda source, below: os.open(f"{source}/{below}", os.O_PATH | os.O_CLOEXEC)
"""


def _seen_through_the_race(engine: Engine, tmp_path: Path, tries: int) -> set[str]:
    """Return whose file other containers see in the part of a volume that is being swapped all the time."""
    outside = tmp_path / "outside"
    (outside / "in").mkdir(parents=True)
    (outside / "in/whose").write_text("the host's\n")
    script = _SWAP.format(outside=outside)
    attacker = engine.containers.create(ContainerOptions(BUSYBOX, ("sh", "-c", script), binds=("vol:/v",)))
    attacker.start()
    seen: set[str] = set()
    while not os.path.exists(f"{engine.volumes.get('vol').mountpoint}/ready"):
        assert attacker.status == "running"
    for _ in range(tries):
        try:
            seen.add(sh(engine, "cat /m/whose", mounts=(PART,)).out)
        except EngineError:
            seen.add("refused")
        if "the host's\n" in seen:
            break
    attacker.remove(force=True)
    return seen


def test_subpath_that_is_swapped_for_a_symlink_leads_nowhere(engine: Engine, tmp_path: Path) -> None:
    assert _seen_through_the_race(engine, tmp_path, 40) <= {"real\n", "refused"}


def test_opened_by_its_path_it_would_lead_to_the_host(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sabotage_zygote(engine, monkeypatch, _OPEN_BY_PATH)
    assert "the host's\n" in _seen_through_the_race(engine, tmp_path, 400)


@pytest.mark.parametrize(
    "target", ["/etc", "../../../../../../../../etc", "/proc/1/root/etc", "/proc/self/root/../etc"]
)
@pytest.mark.parametrize("users", ["", "private"])
def test_subpath_through_a_symlink_stays_in_the_volume(engine: Engine, target: str, users: str) -> None:
    sh(engine, f"ln -s {target} /v/part; mkdir /v/etc; echo of the volume > /v/etc/whose", binds=("vol:/v",))
    spec = PART._replace(subpath="part")
    try:
        assert sh(engine, "cat /m/whose; ls /m", mounts=(spec,), userns_mode=users).out == "of the volume\nwhose\n"
    except EngineError as exc:
        assert "cannot access path part of the volume" in str(exc)  # noqa: PT017 - either is safe
        assert target.startswith("/proc")


def test_volume_is_not_mounted_inside_proc(engine: Engine, busybox_tree: str, tmp_path: Path) -> None:
    """It would lie over what is masked there, or show programs another kernel (CVE-2019-16884)."""
    for path in ("/proc/sys", "/proc/self/attr"):
        with pytest.raises(InvalidError, match="cannot be mounted because it is inside /proc"):
            sh(engine, "true", binds=(f"vol:{path}",))
    tree = tmp_path / "tree"
    shutil.copytree(busybox_tree, tree, symlinks=True, copy_function=os.link)
    os.symlink("/proc/sys", tree / "data")
    add_image(engine.images.store, "evil", str(tree), Volumes={"/data": {}})
    with pytest.raises(InvalidError, match="cannot be mounted because it is inside /proc"):
        run(engine, "true", image="evil")


def test_image_whose_volume_is_a_symlink_gives_nothing_of_the_host(
    engine: Engine, busybox_tree: str, tmp_path: Path
) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/key").write_text("the host's")
    tree = tmp_path / "tree"
    shutil.copytree(busybox_tree, tree, symlinks=True, copy_function=os.link)
    os.symlink(f"../../../../../../..{tmp_path}/secret", tree / "data")
    os.symlink(f"{tmp_path}/secret", tree / "absolute")
    (tree / "linked").mkdir()
    os.symlink(f"{tmp_path}/secret/key", tree / "linked/key")
    add_image(engine.images.store, "evil", str(tree), Volumes={"/data": {}, "/absolute": {}, "/linked": {}})
    container = engine.containers.create(ContainerOptions("evil", ("true",)))
    for mount in container.inspect()["Mounts"]:
        assert os.listdir(mount["Source"]) == (["key"] if mount["Destination"] == "/linked" else [])
        if mount["Destination"] == "/linked":
            assert os.path.islink(f"{mount['Source']}/key")
    container.remove(takes_volumes=True)


def test_symlink_in_a_volume_does_not_carry_an_inner_mount_to_the_host(engine: Engine, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    sh(engine, f"ln -s {victim} /v/inner", binds=("vol:/v",))
    assert sh(engine, "echo x > /v/inner/file; cat /v/inner/file", binds=("vol:/v", "other:/v/inner")).out == "x\n"
    assert os.listdir(victim) == []
    assert os.listdir(engine.volumes.get("other").mountpoint) == ["file"]


def test_whole_host_can_be_given_away_as_with_docker(engine: Engine) -> None:
    assert sh(engine, "ls /host/proc/self/status", binds=("/:/host:ro",)).out
