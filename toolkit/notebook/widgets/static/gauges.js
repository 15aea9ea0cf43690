// cgroup gauges: a bar with its limit, the last minute beside it, and a handle that moves the limit.

const FIELDS = ["at", "memory", "memoryLimit", "cpus", "cpuLimit", "throttled", "periods", "pids", "pidsLimit", "refused", "read", "written", "ooms"];
const WIDTH = 260;
const HEIGHT = 46;
const MINUTE_S = 60;
const MIB = 1 << 20;

const inBytes = (value) => (value >= 1024 * MIB ? `${(value / 1024 / MIB).toFixed(2)} GiB` : value >= MIB ? `${(value / MIB).toFixed(1)} MiB` : `${(value / 1024).toFixed(0)} KiB`);
const inCpus = (value) => `${value.toFixed(2)} CPUs`;
const asIs = (value) => `${Math.round(value)}`;

const GAUGES = [
  { what: "memory", title: "memory", now: "memory", limit: "memoryLimit", mark: "ooms", words: inBytes, colour: "--ct-blue" },
  { what: "cpu", title: "CPU", now: "cpus", limit: "cpuLimit", mark: "throttled", words: inCpus, colour: "--ct-green" },
  { what: "pids", title: "processes", now: "pids", limit: "pidsLimit", mark: "refused", words: asIs, colour: "--ct-purple" },
  { what: "disk", title: "disk", now: "rate", limit: null, mark: null, words: (value) => `${inBytes(value)}/s`, colour: "--ct-faint" },
];

function render({ model, el: root }) {
  const box = el("div", { class: "ct ct-gauges" });
  const [card, stopCard] = troubleCard(model);
  const [badge, stopWatching] = watched(model, box);
  const title = el("strong", {});
  const ending = el("div", { class: "ct-gauges-end", role: "status" });
  const rows = GAUGES.map((gauge) => gaugeRow(model, gauge));
  keepKeys(box);
  const draw = () => {
    const state = model.get("state");
    const samples = model.get("recent").map((row) => Object.fromEntries(FIELDS.map((name, place) => [name, row[place]])));
    samples.forEach((each, place) => {
      const before = samples[place - 1];
      each.rate = before && each.read !== null ? Math.max(0, each.read + each.written - before.read - before.written) / Math.max(0.01, each.at - before.at) : each.read === null ? null : 0;
    });
    title.textContent = `What ${state.name} uses`;
    ending.hidden = !state.ending;
    ending.textContent = state.ending ? `The container does not run: ${state.ending}.` : "";
    for (const row of rows) row.draw(samples, state);
  };
  const stop = follow(model, ["recent", "state"], draw);
  const stopTrouble = follow(model, ["trouble"], () => rows.forEach((row) => row.settle()));
  box.append(
    el("div", { class: "ct-head" }, title, badge), ending, ...rows.map((row) => row.node), card,
    el("div", { class: "ct-faint ct-gauges-legend" }, "The curve is the last minute; dashed is the limit. ▼ marks what the kernel did at it: killed (OOM), held back (throttled), refused a fork. Drag a handle, or use the arrow keys, to move a limit."),
  );
  root.append(box);
  return () => { stop(); stopTrouble(); stopCard(); stopWatching(); };
}

function gaugeRow(model, gauge) {
  const value = el("span", { class: "ct-gauge-value" });
  const limitText = el("span", { class: "ct-faint" });
  const note = el("div", { class: "ct-gauge-note" });
  const fill = el("div", { class: "ct-gauge-fill", style: `background: var(${gauge.colour})` });
  const line = el("div", { class: "ct-gauge-line" });
  const bar = el("div", { class: "ct-gauge-bar", role: "meter", "aria-label": gauge.title }, fill, line);
  const picture = el("div", { class: "ct-gauge-curve" });
  const handle = gauge.limit ? el("input", { type: "range", min: 0, step: 1, class: "ct-gauge-handle", "aria-label": `limit of ${gauge.title}` }) : null;
  let places = [];
  let isHeld = false; // by the learner: what the kernel says meanwhile does not move it
  if (handle) {
    handle.addEventListener("input", () => { isHeld = true; limitText.textContent = `limit ${places[handle.value][1]}?`; });
    handle.addEventListener("change", () => { isHeld = true; ask(model, "limit", { what: gauge.what, value: places[handle.value][0] }); setTimeout(() => { isHeld = false; }, 700); });
  }
  const draw = (samples, state) => {
    const last = samples.at(-1);
    const lack = state.lacking[gauge.what];
    places = state.places[gauge.what] ?? [];
    const now = last?.[gauge.now] ?? null;
    const limit = gauge.limit ? last?.[gauge.limit] ?? null : null;
    value.textContent = lack ? "not counted" : now === null ? "…" : gauge.words(now);
    note.textContent = lack ?? noteOf(gauge, state.totals, last);
    note.classList.toggle("ct-gauge-hit", !lack && isHit(gauge, state.totals));
    const top = scaleOf(samples, gauge, limit);
    fill.style.width = `${now === null ? 0 : Math.min(100, (100 * now) / top)}%`;
    line.hidden = limit === null;
    line.style.left = `${limit === null ? 0 : (100 * limit) / top}%`;
    bar.setAttribute("aria-valuenow", `${now ?? 0}`);
    bar.setAttribute("aria-valuetext", `${value.textContent}${limit === null ? ", no limit" : ` of ${gauge.words(limit)}`}`);
    bar.hidden = Boolean(lack);
    picture.replaceChildren(...(lack ? [] : [curve(samples, gauge, top)]));
    if (handle) {
      handle.max = `${places.length - 1}`;
      handle.hidden = Boolean(lack);
      handle.disabled = Boolean(state.ending);
      if (!isHeld) {
        limitText.textContent = lack ? "" : limit === null ? "no limit" : `limit ${gauge.words(limit)}`;
        const at = limit === null ? places.length - 1 : places.findIndex(([each]) => each >= limit);
        handle.value = `${at < 0 ? places.length - 1 : at}`;
      }
    }
  };
  const node = el("div", { class: "ct-gauge", "data-what": gauge.what },
    el("div", { class: "ct-gauge-name" }, el("b", {}, gauge.title)),
    el("div", { class: "ct-gauge-middle" }, el("div", { class: "ct-gauge-words" }, value, " ", limitText), bar, handle, note),
    picture);
  return { node, draw, settle: () => { isHeld = false; } };
}

function scaleOf(samples, gauge, limit) {
  const most = Math.max(0, ...samples.map((each) => each[gauge.now] ?? 0));
  const highest = Math.max(most, limit ?? 0);
  return (highest || 1) * 1.12;
}

function noteOf(gauge, totals, last) {
  if (gauge.what === "memory" && totals.oom_kills) return `${totals.oom_kills} killed by the kernel at the limit (OOM)`;
  if (gauge.what === "cpu" && totals.throttled) return `held back in ${totals.throttled} of ${totals.periods} periods (throttled)`;
  if (gauge.what === "pids" && totals.refused_forks) return `${totals.refused_forks} forks refused`;
  if (gauge.what === "disk" && last && last.read !== null) return `${inBytes(last.read)} read, ${inBytes(last.written)} written so far`;
  return "";
}

function isHit(gauge, totals) {
  return { memory: totals.oom_kills, cpu: totals.throttled, pids: totals.refused_forks }[gauge.what] > 0;
}

function curve(samples, gauge, top) {
  const end = samples.at(-1)?.at ?? 0;
  const x = (each) => WIDTH - ((end - each.at) / MINUTE_S) * WIDTH;
  const y = (value) => HEIGHT - 2 - (Math.min(value, top) / top) * (HEIGHT - 10);
  const shown = samples.filter((each) => end - each.at <= MINUTE_S);
  const points = shown.filter((each) => each[gauge.now] !== null).map((each) => `${x(each).toFixed(1)},${y(each[gauge.now]).toFixed(1)}`);
  const limits = gauge.limit ? shown.filter((each) => each[gauge.limit] !== null).map((each) => `${x(each).toFixed(1)},${y(each[gauge.limit]).toFixed(1)}`) : [];
  const marks = gauge.mark ? shown.filter((each) => each[gauge.mark] > 0) : [];
  return el("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, width: WIDTH, height: HEIGHT, role: "img", "aria-label": `${gauge.title}, the last minute` },
    el("line", { x1: 0, x2: WIDTH, y1: HEIGHT - 2, y2: HEIGHT - 2, class: "ct-curve-floor" }),
    limits.length > 1 ? el("polyline", { points: limits.join(" "), class: "ct-curve-limit" }) : null,
    points.length > 1 ? el("polyline", { points: points.join(" "), class: "ct-curve", style: `stroke: var(${gauge.colour})` }) : null,
    marks.map((each) => el("path", { d: `M${x(each) - 4},1 h8 l-4,7 z`, class: "ct-curve-mark" }, el("title", {}, `${each[gauge.mark]}`))));
}

export default { render };
