"""`./run bench [start] [cold] [memory] [life] [many] [net] [glass] [pull]`: measure, print, write RESULTS.md."""

import argparse
import os
import sys
from collections.abc import Iterator

from tests.bench import glass, ground, life, memory, net, pull, report, start
from tests.bench.measure import Figure
from toolkit.engine import Engine

_HERE = os.path.dirname(os.path.abspath(__file__))
_BENCHES = ("start", "cold", "memory", "life", "many", "net", "glass", "pull")


def main() -> int:
    """Run the benchmarks that were asked for; return 1 if a target was missed."""
    parser = argparse.ArgumentParser(prog="./run bench", description=__doc__)
    parser.add_argument("benches", nargs="*", help=f"any of {', '.join(_BENCHES)}; all if none is given")
    parser.add_argument("--rounds", type=int, default=60, help="rounds of the start benchmarks")
    parser.add_argument("--pulls", type=int, default=3, help="rounds of the pull benchmark")
    parser.add_argument("--scale", type=float, default=1.0, help="size of the pulled image, for a quick try")
    parser.add_argument("--image", default="lab", help="image that the containers are made of")
    parser.add_argument("--cache", default="/var/tmp/container-toolkit-bench", help="keeps the generated image")
    options = parser.parse_args()
    unknown = set(options.benches) - set(_BENCHES)
    if unknown:
        parser.error(f"no benchmark {', '.join(sorted(unknown))}")
    ground.enter_own_mounts()
    figures: list[Figure] = []
    with ground.journaled() as directory:
        for figure in _measure(options, directory):
            print(*report.row(figure), sep="  ", flush=True)
            figures.append(figure)
    print(report.table(figures))
    if not options.benches and options.scale == 1.0:
        rounds = f"{options.rounds} of start and cold, {options.pulls} of pull"
        report.write(f"{_HERE}/RESULTS.md", figures, rounds)
    return 0


def _measure(options: argparse.Namespace, directory: str) -> Iterator[Figure]:
    wanted = options.benches or list(_BENCHES)
    os.mkdir(f"{directory}/root", 0o711)
    with open(f"{directory}/root/daemon.json", "w") as file:
        file.write('{"bridge": "none"}')  # nothing is made on this machine that a benchmark would have to take away
    engine = Engine.open(f"{directory}/root", f"{directory}/run")
    try:
        if "start" in wanted:
            yield from start.warm(engine, options.image, directory, options.rounds)
        if "cold" in wanted:
            yield from start.cold(engine, options.image, max(options.rounds // 3, 3))
        if "memory" in wanted:
            yield from memory.weigh(engine, options.image)
        if "life" in wanted:
            yield from life.life(engine, options.image, directory, options.rounds)
        if "many" in wanted:
            yield from life.many(engine, options.image)
        if "net" in wanted:
            yield from net.net(options.image, directory, options.rounds)
        if "glass" in wanted:
            yield from glass.glass(engine, options.image, directory, options.rounds)
        if "pull" in wanted:
            yield from pull.pull(options.cache, directory, options.pulls, options.scale)
    finally:
        engine.shutdown()


if __name__ == "__main__":
    sys.exit(main())
