// The timeline: a lane for each process, a bar for each call, in the order of time.

const LEFT = 92;
const TOP = 30;
const LANE = 40;
const BAR = 22;
const GAP = 18;
const ZOOM = 1.6;
const MOST_ZOOM = 60;
const [AT, COST, WHO, PHASE, STEP, TEXT, RESULT, ERRNO, PAGE] = [0, 1, 2, 3, 4, 5, 6, 7, 8];

function render({ model, el: root }) {
  const { calls, lanes, steps, colours, summary, command, label, warning } = model.get("shown");
  const box = el("div", { class: "ct ct-timeline" });
  const [region, say] = announcer();
  const off = new Set(); // phases that are not shown
  let chosen = -1;
  let zoom = 1;
  let byTime = false;
  let isOpen = false;

  const svg = el("svg", { role: "application", tabindex: "0", height: TOP + lanes.length * LANE + 8, "aria-label": "calls to the kernel; arrow keys go from one to the next, Enter opens it" });
  const scroll = el("div", { class: "ct-timeline-scroll" }, svg);
  const names = el("div", { class: "ct-timeline-names ct-faint" }, lanes.map(([, name], lane) => el("div", { style: `top:${TOP + lane * LANE + 2}px` }, name)));
  const search = el("input", { class: "ct-input", type: "search", placeholder: "filter, as mount", "aria-label": "show calls that contain this text", oninput: () => { filter(); } });
  const count = el("span", { class: "ct-faint" });
  const details = el("div", { class: "ct-timeline-details", "aria-live": "polite" });
  const phases = [...new Set(calls.map((call) => call[PHASE]))];
  const chips = phases.map((phase) => el("button", {
    class: "ct-timeline-phase", type: "button", "aria-pressed": "true", style: `--phase:${colours[phase]}`,
    onclick: (event) => {
      if (!off.delete(phase)) off.add(phase);
      event.currentTarget.setAttribute("aria-pressed", `${!off.has(phase)}`);
      filter();
    },
  }, phase || "the engine itself"));
  const scale = el("button", { class: "ct-button", type: "button", title: "one width for all that cost the same, or a scale of time", onclick: () => { byTime = !byTime; layOut(); } });
  const closer = el("button", { class: "ct-button", type: "button", title: "closer (+)", "aria-label": "closer", onclick: () => setZoom(zoom * ZOOM) }, "+");
  const farther = el("button", { class: "ct-button", type: "button", title: "farther (-)", "aria-label": "farther", onclick: () => setZoom(zoom / ZOOM) }, "−");

  const bars = calls.map((call, index) => {
    const [, cost, who, phase, , text, result, errno] = call;
    const lane = lanes.findIndex(([key]) => key === who);
    return el("rect", {
      y: TOP + lane * LANE, height: BAR, fill: colours[phase], class: errno ? "ct-timeline-failed" : null,
      onclick: () => { choose(index); isOpen = true; draw(); },
    }, el("title", {}, `${text} = ${result}${errno ? ` ${errno}` : ""}\n${time(cost)}`));
  });
  const cursor = el("rect", { class: "ct-timeline-cursor", y: 0, height: TOP + lanes.length * LANE, visibility: "hidden" });
  const back = el("g");
  svg.append(back, ...bars, cursor);

  const shows = (call) => !off.has(call[PHASE]) && `${call[TEXT]} ${call[ERRNO]}`.toLowerCase().includes(search.value.toLowerCase());
  const early = calls.filter((call) => call[AT] < 0).length;
  let places = [];
  const layOut = () => {
    const width = Math.max(300, (scroll.clientWidth || 760) - 4) * zoom;
    svg.setAttribute("width", width);
    places = byTime ? timeScale(calls, early, width) : costScale(calls, early, width);
    bars.forEach((bar, index) => {
      bar.setAttribute("x", places[index][0]);
      bar.setAttribute("width", places[index][1]);
    });
    scale.textContent = byTime ? "Scale: time" : "Scale: each call";
    drawBack(width);
    draw();
  };
  const drawBack = (width) => {
    const ends = early ? places[early - 1][0] + places[early - 1][1] + GAP / 3 : 0;
    const starts = early < calls.length ? places[early]?.[0] ?? 0 : ends;
    back.replaceChildren(
      ...(early ? [el("rect", { x: 0, y: 18, width: ends, height: TOP + lanes.length * LANE - 18, class: "ct-timeline-before" }),
        el("text", { x: 2, y: 13 }, ends > 120 ? "before anyone asked" : "before")] : []),
      ...(calls.length > early ? ticks(calls, early, places, width, starts + (early && ends <= 120 ? 40 : 0)).map(([x, text]) => el("text", { x, y: 13 }, text)) : []),
    );
  };
  const filter = () => {
    let shown = 0;
    calls.forEach((call, index) => {
      const is = shows(call);
      shown += is;
      bars[index].classList.toggle("ct-timeline-off", !is);
    });
    count.textContent = shown === calls.length ? "" : `${shown} of ${calls.length}`;
    if (chosen >= 0 && !shows(calls[chosen])) chosen = -1;
    draw();
  };
  const choose = (index) => { chosen = index; };
  const move = (by) => {
    const found = calls.map((call, index) => [call, index]).filter(([call]) => shows(call)).map(([, index]) => index);
    if (!found.length) return;
    const from = chosen < 0 ? (by > 0 ? -1 : found.length) : found.indexOf(chosen);
    choose(found[Math.max(0, Math.min(found.length - 1, from + by))]);
    draw();
    const [x, width] = places[chosen];
    if (x < scroll.scrollLeft || x + width > scroll.scrollLeft + scroll.clientWidth) scroll.scrollLeft = x - scroll.clientWidth / 2;
    say(`${calls[chosen][TEXT]}, ${time(calls[chosen][COST])}`);
  };
  const setZoom = (wanted) => {
    const middle = (scroll.scrollLeft + scroll.clientWidth / 2) / (scroll.scrollWidth || 1);
    zoom = Math.max(1, Math.min(MOST_ZOOM, wanted));
    farther.disabled = zoom === 1;
    layOut();
    scroll.scrollLeft = middle * scroll.scrollWidth - scroll.clientWidth / 2;
  };
  const draw = () => {
    cursor.setAttribute("visibility", chosen < 0 ? "hidden" : "visible");
    if (chosen >= 0) {
      cursor.setAttribute("x", places[chosen][0] - 1);
      cursor.setAttribute("width", places[chosen][1] + 2);
    }
    drawDetails();
  };
  const drawDetails = () => {
    if (chosen < 0) {
      details.replaceChildren(el("span", { class: "ct-faint" }, "Click a bar, or press the arrow keys: each is a call to the kernel. Enter opens it, + and − change the scale."));
      return;
    }
    const call = calls[chosen];
    const step = call[STEP] ? steps[call[STEP] - 1] : null;
    const when = call[AT] < 0 ? "before anyone asked" : `at ${(call[AT] / 1000).toFixed(3)} ms`;
    details.replaceChildren(
      el("div", { class: "ct-mono ct-timeline-call" }, call[TEXT], " = ", el("span", { class: call[ERRNO] ? "ct-timeline-errno" : "" }, `${call[RESULT]}${call[ERRNO] ? ` ${call[ERRNO]}` : ""}`)),
      el("div", { class: "ct-faint" }, `${time(call[COST])}, ${when}, by ${lanes.find(([key]) => key === call[WHO])[1]}`,
        ...(call[PAGE] ? [" · ", el("a", { href: call[PAGE], target: "_blank", rel: "noopener" }, "manual page")] : [])),
      ...(step ? [el("div", {}, el("strong", {}, `Step ${call[STEP]}, ${step[0]}: `), step[2], el("span", { class: "ct-faint" }, ` [${step[3]}]`))] : []),
      ...(step && isOpen ? [el("div", { class: "ct-mono ct-faint ct-timeline-same" }, "All calls of this step:",
        calls.filter((each) => each[STEP] === call[STEP]).map((each) => el("div", { class: each === call ? "ct-timeline-this" : "" }, `${time(each[COST])}  ${each[TEXT]} = ${each[RESULT]}${each[ERRNO] ? ` ${each[ERRNO]}` : ""}`)))] : []),
    );
  };
  svg.addEventListener("keydown", (event) => {
    const keys = {
      ArrowRight: () => move(1), ArrowLeft: () => move(-1), ArrowDown: () => move(1), ArrowUp: () => move(-1),
      Home: () => { chosen = -1; move(1); }, End: () => { chosen = -1; move(-1); },
      Enter: () => { isOpen = !isOpen; draw(); }, "+": () => setZoom(zoom * ZOOM), "=": () => setZoom(zoom * ZOOM), "-": () => setZoom(zoom / ZOOM), 0: () => setZoom(1),
    };
    if (!(event.key in keys) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    keys[event.key]();
  });
  keepKeys(box);
  box.append(
    el("div", { class: "ct-head" }, ...(model.get("is_replayed") ? [el("span", { class: "ct-chip ct-bad" }, label)] : []),
      el("span", { class: "ct-mono ct-timeline-command" }, command)),
    ...(warning ? [el("div", { class: "ct-trouble", role: "alert" }, `This recording is not whole: ${warning}.`)] : []),
    el("div", { class: "ct-faint" }, summary),
    el("div", { class: "ct-timeline-bar" }, chips, search, count, el("span", { class: "ct-timeline-right" }, scale, farther, closer)),
    el("div", { class: "ct-timeline-both" }, names, scroll), details, region,
  );
  root.append(box);
  farther.disabled = true;
  filter();
  layOut();
  let width = 0;
  const observer = new ResizeObserver(() => {
    if (scroll.clientWidth === width) return;
    width = scroll.clientWidth;
    layOut();
  });
  observer.observe(scroll);
  return () => observer.disconnect();
}

const time = (us) => (us >= 1000 ? `${(us / 1000).toFixed(2)} ms` : `${us.toFixed(1)} µs`);

// One after the other, each as wide as the logarithm of its cost: all can be seen.
function costScale(calls, early, width) {
  const weights = calls.map((call) => 1 + Math.log2(1 + call[COST]));
  const gap = early && early < calls.length ? GAP : 0;
  const unit = (width - gap) / weights.reduce((sum, each) => sum + each, 1e-9);
  let x = 0;
  return weights.map((weight, index) => {
    if (index === early) x += gap;
    const place = [x, Math.max(weight * unit - 0.6, 0.8)];
    x += weight * unit;
    return place;
  });
}

// Where they were in time; what was done long before is put together at the left.
function timeScale(calls, early, width) {
  const later = calls.slice(early);
  const end = Math.max(1, ...later.map((call) => call[AT] + call[COST]));
  const left = early ? Math.min(110, width / 6) : 0;
  const unit = (width - left - (early ? GAP : 0)) / end;
  const before = costScale(calls.slice(0, early), early, left);
  return [...before, ...later.map((call) => [left + (early ? GAP : 0) + call[AT] * unit, Math.max(call[COST] * unit, 1)])];
}

// Marks of time above the bars, not nearer than 70 pixels.
function ticks(calls, early, places, width, from) {
  const found = [];
  let last = from - 70;
  for (let index = early; index < calls.length; index += 1) {
    const x = places[index][0];
    if (x - last >= 70 && x < width - 50) {
      found.push([x, `${(calls[index][AT] / 1000).toFixed(2)} ms`]);
      last = x;
    }
  }
  return found;
}

export default { render };
