"""The results as a table, for the terminal and for RESULTS.md."""

import datetime as dt
import os
import platform

from tests.bench.measure import Figure
from tests.bench.peers import version

_PEERS = ("crun", "runc", "skopeo", "umoci", "docker-registry", "tar")


def machine() -> list[str]:
    """Describe where this was measured."""
    with open("/proc/cpuinfo") as file:
        models = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    memory_gb = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return [
        f"- date: {dt.datetime.now(dt.UTC):%Y-%m-%d %H:%M} UTC",
        f"- machine: {os.cpu_count()} x {models[0] if models else platform.machine()}, {memory_gb:.0f} GB",
        f"- load average at the end: {os.getloadavg()[1]:.1f} over five minutes",
        f"- kernel: {platform.release()}; Python {platform.python_version()}",
        "- file system: ext4 with a journal on a loop device, made for the run",
        *(f"- {version(peer)}" for peer in _PEERS),
    ]


def number(value: float | None, digits: int = 3) -> str:
    """Write a number with `digits` significant digits, or nothing."""
    if value is None:
        return ""
    return f"{value:.0f}" if abs(value) >= 10 ** (digits - 1) else f"{value:.{digits}g}"


def row(figure: Figure) -> list[str]:
    """Return the cells of one figure."""
    target = "" if figure.target is None else f"{number(figure.target)} {figure.unit}"
    if figure.ratio_target is not None:
        target = f"ratio {figure.ratio_target}"
    verdict = {True: "met", False: "**missed**", None: ""}[figure.is_met]
    return [figure.what, f"{number(figure.value)} {figure.unit}", number(figure.ratio), target, verdict]


def table(figures: list[Figure]) -> str:
    """Return one Markdown table for each benchmark."""
    lines: list[str] = []
    for bench in dict.fromkeys(figure.bench for figure in figures):
        lines += ["", f"## {bench}", "", "| what | figure | ratio | target | |", "|---|---:|---:|---|---|"]
        lines += ["| " + " | ".join(row(figure)) + " |" for figure in figures if figure.bench == bench]
    return "\n".join(lines)


def write(path: str, figures: list[Figure], rounds: str) -> None:
    """Write RESULTS.md."""
    head = [
        "# Benchmarks",
        "",
        "Written by `./run bench`. Medians of interleaved runs; a ratio is ours to the peer's, the median of the",
        "ratios within each round. Smaller is better, except where the unit says per second.",
        "",
        *machine(),
        f"- rounds: {rounds}",
    ]
    with open(path, "w") as file:
        file.write("\n".join(head) + "\n" + table(figures) + "\n")
