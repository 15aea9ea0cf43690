"""What it costs to watch: a step from click to picture, a timeline, a recording."""

import functools
import os
import pathlib
import shutil
import statistics
from collections.abc import Iterator

from tests.bench.measure import Figure, interleave, timed
from tests.bench.start import run_once
from tests.browser.jupyter import browse, serve
from tests.browser.notebook import Notebook, write
from tests.browser.timing import CLICKS, DRAWS
from toolkit.engine import Engine
from toolkit.engine.options import ContainerOptions
from toolkit.notebook.figures.timeline import facts
from toolkit.notebook.widgets.live import live_module
from toolkit.trace.recorded import RUN, Recording, begin

STEP_MS, TIMELINE_MS, RECORDING_RATIO = 30.0, 200.0, 1.10
_CALLS = 500
_STEP = "%load_ext toolkit\ns = %container step run lab true\ns"


def glass(engine: Engine, image: str, directory: str, rounds: int) -> Iterator[Figure]:
    """Record starts beside plain ones; then press buttons in a real JupyterLab, where there is a browser."""
    recorded: list[Recording] = []
    record = functools.partial(_record, engine, image, recorded)
    times = interleave({"plain": timed(lambda: run_once(engine, image)), "recorded": timed(record)}, rounds, warm_up=3)
    ratio = times.ratio("recorded", "plain")
    what = "the same, recorded, of one that is not"
    yield Figure("glass", what, times.median_s("recorded") * 1e3, "ms", ratio=ratio, ratio_target=RECORDING_RATIO)
    if shutil.which("chromium"):
        yield from _in_browser(directory, recorded[-1])


def _record(engine: Engine, image: str, recorded: list[Recording]) -> None:
    options = ContainerOptions(image=image, command=("/bin/true",), network="none", auto_remove=True)
    attachment = engine.containers.create(options).start(attach=True, trace=True)
    assert attachment is not None
    with attachment:
        for _output in attachment:
            pass
    recorded[:] = [Recording(begin(RUN, "run"), (), tuple(attachment.events), {}, 0)]


def _in_browser(directory: str, recording: Recording) -> Iterator[Figure]:
    notebooks = pathlib.Path(directory, "notebooks")
    notebooks.mkdir()
    write(notebooks / "step.ipynb", [_STEP])
    root = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    environ = {"CONTAINER_ROOT": f"{directory}/root", "CONTAINER_RUN": f"{directory}/run", "PYTHONPATH": root}
    with serve(notebooks, pathlib.Path(directory, "home"), environ) as server, browse() as browser:
        notebook = Notebook(browser.new_page(), server, "step.ipynb")
        notebook.run_cell(0)
        clicks_ms = notebook.page.evaluate(CLICKS, "Next step")
        many = recording._replace(events=(recording.events * _CALLS)[:_CALLS])
        draws_ms = notebook.page.evaluate(DRAWS, [live_module("timeline"), facts(many)])
        server.end_kernels()
    yield Figure("glass", "a step, from click to picture", statistics.median(clicks_ms), "ms", STEP_MS)
    yield Figure("glass", f"a timeline of {_CALLS} calls is drawn", statistics.median(draws_ms), "ms", TIMELINE_MS)
