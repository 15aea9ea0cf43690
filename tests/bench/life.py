"""A container's life beside dockerd's: exec, stop, many starts at a time, many containers at rest."""

import os
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

from tests.bench import memory
from tests.bench.docker import Docker, dockerd
from tests.bench.measure import PER_SECOND, Figure, interleave, timed
from tests.bench.start import run_once
from toolkit.engine import Engine
from toolkit.engine.container import Container
from toolkit.engine.options import ContainerOptions, ExecOptions

EXEC_RATIO, STOP_RATIO, STARTS_PER_S = 0.15, 0.2, 120.0
IDLE_MB, PS_MS, MANY, ALL = 0.5, 150.0, 200, 1000
_OBEDIENT = ("sh", "-c", "trap 'exit 0' TERM; sleep 3600 & wait")
_BURST = 240
_EDGE = 20


def life(engine: Engine, image: str, directory: str, rounds: int) -> Iterator[Figure]:
    """Compare exec and stop with dockerd's API, and starts two at a time."""
    archive = f"{directory}/{image}.tar"
    with open(archive, "wb") as file:
        engine.images.save([image], file)
    with dockerd(f"{directory}/docker") as docker:
        if docker is not None:
            docker.load(archive)
        yield from _exec(engine, image, docker, rounds)
        yield from _stop(engine, image, docker, max(rounds // 3, 5))
        yield from _burst(engine, image, docker)


def _start(engine: Engine, image: str, *command: str) -> Container:
    container = engine.containers.create(ContainerOptions(image=image, command=command, network="none"))
    container.start()
    return container


def _exec_once(container: Container) -> None:
    with container.exec(ExecOptions(("true",))) as attachment:
        for _output in attachment:
            pass
    if attachment.exit_code != 0:
        raise RuntimeError(f"true ended with {attachment.exit_code}")


def _exec(engine: Engine, image: str, docker: Docker | None, rounds: int) -> Iterator[Figure]:
    ours = _start(engine, image, "sleep", "3600")
    contenders = {"ours": timed(lambda: _exec_once(ours))}
    theirs = ""
    if docker is not None:
        theirs = docker.create(image, ["sleep", "3600"])
        docker.start(theirs)
        contenders["docker"] = timed(lambda: docker.execute(theirs, ["true"]))
    contenders["nsenter"] = timed(lambda: _nsenter(ours.pid))
    times = interleave(contenders, rounds, warm_up=3)
    ours.remove(force=True)
    ratio = times.ratio("ours", "docker") if docker is not None else None
    yield Figure("life", "exec true", times.median_s("ours") * 1e3, "ms", ratio=ratio, ratio_target=EXEC_RATIO)
    if docker is not None:
        docker.remove(theirs)
        yield Figure("life", "exec true through dockerd's API", times.median_s("docker") * 1e3, "ms")
    yield Figure("life", "nsenter into the same", times.median_s("nsenter") * 1e3, "ms")


def _nsenter(pid: int) -> None:
    subprocess.run(["nsenter", "-t", str(pid), "-a", "true"], check=True)


def _stop(engine: Engine, image: str, docker: Docker | None, rounds: int) -> Iterator[Figure]:
    contenders: dict[str, Callable[[], float]] = {"ours": lambda: _stop_ours(engine, image)}
    if docker is not None:
        contenders["docker"] = lambda: _stop_theirs(docker, image)
    times = interleave(contenders, rounds)
    ratio = times.ratio("ours", "docker") if docker is not None else None
    what = "stop of a process that obeys"
    yield Figure("life", what, times.median_s("ours") * 1e3, "ms", ratio=ratio, ratio_target=STOP_RATIO)
    if docker is not None:
        yield Figure("life", f"{what}, through dockerd's API", times.median_s("docker") * 1e3, "ms")


_SETTLE_S = 0.3  # until the shell has set its trap


def _stop_ours(engine: Engine, image: str) -> float:
    container = _start(engine, image, *_OBEDIENT)
    time.sleep(_SETTLE_S)
    seconds = timed(container.stop)()
    if container.exit_code != 0:
        raise RuntimeError(f"it ended with {container.exit_code}")
    container.remove()
    return seconds


def _stop_theirs(docker: Docker, image: str) -> float:
    ident = docker.create(image, list(_OBEDIENT))
    docker.start(ident)
    time.sleep(_SETTLE_S)
    seconds = timed(lambda: docker.stop(ident))()
    docker.remove(ident)
    return seconds


def _burst(engine: Engine, image: str, docker: Docker | None) -> Iterator[Figure]:
    """Start as many as go, one at a time and two, from processes of their own: a process has one interpreter lock."""
    one = _starts_per_s(engine, image, 1)
    two = _starts_per_s(engine, image, 2)
    yield Figure("life", "run + wait + remove, one at a time", one, PER_SECOND)
    yield Figure("life", "run + wait + remove, two at a time", two, PER_SECOND, STARTS_PER_S)
    if docker is not None:
        clients = [Docker(docker.path) for _ in range(2)]
        yield Figure("life", "the same, two at a time, dockerd", _docker_starts_per_s(clients, image), PER_SECOND)


_RUNNER = """
import sys, time
from tests.bench.start import run_once
from toolkit.engine import Engine
root, run, image, count = sys.argv[1:]
with Engine.open(root, run) as engine:
    for _ in range(5):
        run_once(engine, image)
    print("ready", flush=True)
    sys.stdin.readline()
    for _ in range(int(count)):
        run_once(engine, image)
"""


def _starts_per_s(engine: Engine, image: str, processes: int) -> float:
    run_once(engine, image)
    count = _BURST // processes
    arguments = [sys.executable, "-c", _RUNNER, engine.paths.root, engine.paths.run, image, str(count)]
    runners = [
        subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(processes)
    ]
    for runner in runners:
        assert runner.stdout is not None
        if runner.stdout.readline() != "ready\n":
            raise RuntimeError("a process of the benchmark failed, see above")
    start = time.perf_counter()
    for runner in runners:
        assert runner.stdin is not None
        runner.stdin.write("\n")
        runner.stdin.flush()
    for runner in runners:
        runner.communicate()
    seconds = time.perf_counter() - start
    if any(runner.returncode for runner in runners):
        raise RuntimeError("a process of the benchmark failed, see above")
    return count * processes / seconds


def _docker_starts_per_s(clients: list[Docker], image: str) -> float:
    def loop(client: Docker) -> None:
        for _ in range(_BURST // 24):
            client.run(image, ["/bin/true"])

    threads = [threading.Thread(target=loop, args=(client,)) for client in clients]
    start = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return _BURST // 24 * len(clients) / (time.perf_counter() - start)


def many(engine: Engine, image: str) -> Iterator[Figure]:
    """Have many containers at rest, and many more that do not run."""
    options = ContainerOptions(image=image, command=("sleep", "3600"), network="none")
    containers: list[Container] = []
    times_s: list[float] = []
    try:
        for _ in range(MANY):
            container = engine.containers.create(options)
            containers.append(container)
            times_s.append(timed(container.start)())
        time.sleep(memory.SETTLE_S)
        yield from _weigh(containers)
        first, last = statistics.median(times_s[:_EDGE]), statistics.median(times_s[-_EDGE:])
        yield Figure("many", f"start of one of the first {_EDGE}", first * 1e3, "ms")
        yield Figure("many", f"start of one of the last {_EDGE} of {MANY}", last * 1e3, "ms", ratio=last / first)
        containers += [engine.containers.create(options) for _ in range(ALL - MANY)]
        yield Figure("many", f"container ps -a of {ALL}, {MANY} of them running", _ps_ms(engine), "ms", PS_MS)
    finally:
        for container in containers:
            container.remove(force=True)


def _weigh(containers: list[Container]) -> Iterator[Figure]:
    monitors = [memory.parent(container.pid) for container in containers]
    pss = sum(map(memory.pss_mb, monitors)) / len(monitors)
    uss = sum(map(memory.uss_mb, monitors)) / len(monitors)
    zygote = memory.parent(monitors[0])
    yield Figure("many", f"supporting processes of one of {MANY} idle containers, PSS", pss, "MB", IDLE_MB)
    yield Figure("many", "of that private, USS", uss, "MB")
    yield Figure("many", "the one zygote beside them, PSS", memory.pss_mb(zygote), "MB")
    yield Figure("many", "what it keeps in reserve, PSS", memory.reserve_mb(zygote, monitors), "MB")
    yield Figure("many", "of both in the file that all sleep on, once for all", memory.image_mb(zygote), "MB")


def _ps_ms(engine: Engine) -> float:
    command = [f"{os.path.dirname(sys.executable)}/container", "ps", "-a"]
    environ = {**os.environ, "CONTAINER_ROOT": engine.paths.root, "CONTAINER_RUN": engine.paths.run}
    run = timed(lambda: subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL))
    return statistics.median(run() for _ in range(7)) * 1e3
