"""How long a container takes: warm from a process that has the engine open, and cold from a shell."""

import os
import subprocess
import sys
from collections.abc import Iterator

from tests.bench.measure import Figure, interleave, timed
from tests.bench.peers import Runner, make_bundle
from toolkit.engine import Engine
from toolkit.engine.options import ContainerOptions

WARM_RATIO = 0.35
COLD_MS, PS_MS = 150.0, 80.0


def run_once(engine: Engine, image: str, network: str = "none") -> None:
    """Create, start, wait for and remove a container of /bin/true."""
    options = ContainerOptions(image=image, command=("/bin/true",), network=network, auto_remove=True)
    attachment = engine.containers.create(options).start(attach=True)
    assert attachment is not None
    with attachment:
        for output in attachment:
            raise RuntimeError(f"/bin/true says {output.data!r}")
    if attachment.exit_code != 0:
        raise RuntimeError(f"/bin/true ended with {attachment.exit_code}")


def warm(engine: Engine, image: str, directory: str, rounds: int) -> Iterator[Figure]:
    """Compare with `crun run` and `runc run` on an equal bundle."""
    layers = [engine.images.layer_path(diff_id) for diff_id in engine.images.get(image).diff_ids]
    model = engine.containers.create(ContainerOptions(image=image, command=("/bin/true",), network="none"))
    model.start()
    model.wait()
    bundle = make_bundle(f"{directory}/bundle", layers, f"{engine.paths.container(model.id)}/config.json")
    peers = [Runner(program, bundle) for program in ("crun", "runc")]
    try:
        contenders = {"ours": timed(lambda: run_once(engine, image)), **{peer.program: peer.run for peer in peers}}
        times = interleave(contenders, rounds, warm_up=3)
    finally:
        for peer in peers:
            peer.close()
        model.remove()
    ratio = times.ratio("ours", "crun")
    what = "run + wait + remove of /bin/true, warm"
    yield Figure("start", what, times.median_s("ours") * 1e3, "ms", ratio=ratio, ratio_target=WARM_RATIO)
    yield Figure("start", "crun run of an equal bundle", times.median_s("crun") * 1e3, "ms")
    ratio = times.ratio("ours", "runc")
    yield Figure("start", "runc run of an equal bundle", times.median_s("runc") * 1e3, "ms", ratio=ratio)


def cold(engine: Engine, image: str, rounds: int) -> Iterator[Figure]:
    """Time the command itself, Python's own start included."""
    command = f"{os.path.dirname(sys.executable)}/container"
    environ = {**os.environ, "CONTAINER_ROOT": engine.paths.root, "CONTAINER_RUN": engine.paths.run}
    environ.pop("PYTHONDONTWRITEBYTECODE", None)  # what pip installs is compiled; the first round compiles a checkout

    def call(*arguments: str) -> None:
        subprocess.run([command, *arguments], env=environ, check=True, stdout=subprocess.DEVNULL)

    contenders = {
        "run": timed(lambda: call("run", "--rm", "--network", "none", image, "/bin/true")),
        "ps": timed(lambda: call("ps")),
        "python": timed(lambda: subprocess.run([sys.executable, "-I", "-S", "-c", ""], check=True)),
    }
    times = interleave(contenders, rounds, warm_up=2)
    yield Figure("cold", "container run --rm of /bin/true, cold", times.median_s("run") * 1e3, "ms", COLD_MS)
    yield Figure("cold", "container ps, cold", times.median_s("ps") * 1e3, "ms", PS_MS)
    yield Figure("cold", "python -I -S -c '' (nobody in Python is faster)", times.median_s("python") * 1e3, "ms")
