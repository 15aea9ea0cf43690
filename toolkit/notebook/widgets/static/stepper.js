// The stepper: the plan on the left, what the half-made container is now on the right.

const TABS = [
  ["mounts", "Mounts", ["where", "type", "what", "options", "propagation"]],
  ["namespaces", "Namespaces", ["namespace", "number", "whose"]],
  ["capabilities", "Powers", ["", "", ""]],
  ["cgroups", "Cgroups", ["controllers", "group", "whose"]],
  ["processes", "Processes", ["on the host", "inside", "command"]],
];

const SOON_MS = 250, LATE_MS = 4000;

function render({ model, el: root }) {
  const steps = model.get("steps");
  const box = el("div", { class: "ct ct-stepper" });
  const [card, stopCard] = troubleCard(model);
  const [region, say] = announcer();
  let chosen = -1; // of this view alone: the step whose words are shown; -1: the one that comes next
  const now = () => model.get("shown");
  const at = () => Math.min(chosen < 0 ? now().index : chosen, steps.length - 1);
  const live = model.get("label") === "";
  const open = () => now().state === "half-made";

  const deeds = {
    n: () => ask(model, "next", { index: now().index }),
    r: () => { ask(model, "until", { number: at() + 1 }); },
    e: () => ask(model, "finish"),
  };
  const button = (key, text, title, deed) => el("button", { class: "ct-button", type: "button", title, onclick: deed }, text,
    ...(key ? [el("kbd", { class: "ct-key" }, key)] : []));
  const next = button("n", "Next step", "Do the step that comes next", deeds.n);
  const here = button("r", "Run to here", "Go on until the chosen step comes next", deeds.r);
  const end = button("e", "Run to the end", "Do all that is left", deeds.e);
  const stop = button("", "Give up", "Give the container up; nothing is left of it", () => ask(model, "abort"));
  const look = button("", "Look again", "Read the output and the processes again", () => ask(model, "look"));
  const state = el("span", { class: "ct-stepper-state" });

  const rows = steps.map((step, index) => {
    const cost = el("span", { class: "ct-faint ct-stepper-cost" });
    const mark = el("span", { class: "ct-stepper-mark", style: `color:${step.colour}`, "aria-hidden": "true" });
    const row = el("div", {
      class: "ct-stepper-step", role: "option", id: `${prefixOf(model)}-${index}`, title: `${step.title} ${step.subject} (${step.phase})`,
      onclick: () => choose(index),
    }, mark, el("span", { class: "ct-faint ct-stepper-number" }, `${step.number}`), el("span", { class: "ct-stepper-title" }, step.title, ...(step.subject ? [el("span", { class: "ct-faint ct-stepper-subject" }, ` ${step.subject}`)] : [])), cost);
    return { row, cost, mark, looks: "" };
  });
  const list = el("div", { class: "ct-stepper-list", role: "listbox", tabindex: "0", "aria-label": "the steps of the plan" }, rows.map((each) => each.row));
  const words = el("div", { class: "ct-stepper-words" });
  const done = el("div", { class: "ct-stepper-done" });
  const pages = TABS.map(([key, name, columns]) => {
    const [table, draw] = liveTable(name, columns);
    const note = el("div", { class: "ct-faint" });
    return { key, name, table, draw, note };
  });
  const hosts = el("details", { class: "ct-stepper-hosts" }, el("summary", {}, ""));
  const [hostTable, drawHosts] = liveTable("the host's mounts, seen from the half-made container", TABS[0][2]);
  hosts.append(hostTable);
  const [book] = tabs("what the half-made container is now", pages.map((page) => [page.name,
    el("div", { class: `ct-stepper-page ct-stepper-${page.key}` }, page.note, page.table, page.key === "mounts" ? hosts : null)]));
  const labels = [...book.querySelectorAll(".ct-tab")];

  const choose = (index) => { chosen = index; drawSteps(); drawWords(); };
  const drawSteps = () => {
    const { index, costs } = now();
    rows.forEach((each, place) => {
      const isDone = place < index;
      const isNext = place === index && open();
      const looks = `${isDone} ${isNext} ${place === at()} ${isDone ? costs[place] : ""}`;
      if (each.looks === looks) return; // to write what is there already costs the page a layout
      each.looks = looks;
      each.row.classList.toggle("ct-is-done", isDone);
      each.row.classList.toggle("ct-is-next", isNext);
      each.row.setAttribute("aria-selected", `${place === at()}`);
      each.mark.textContent = isDone ? "✓" : isNext ? "▶" : "●";
      each.cost.textContent = isDone ? time(costs[place]) : "";
    });
    list.setAttribute("aria-activedescendant", rows[at()].row.id);
    requestAnimationFrame(() => reveal(list, rows[at()].row)); // where things are is asked once, with the frame's own layout
  };
  const drawWords = () => {
    const step = steps[at()];
    const isDone = at() < now().index;
    words.replaceChildren(
      el("div", { class: "ct-stepper-heading" }, el("strong", {}, `${step.number}  ${step.title}`),
        el("span", { class: "ct-chip", style: `color:${step.colour}` }, step.phase),
        el("span", { class: "ct-faint" }, step.actor === "init" ? "done by the container's first process" : "done from outside")),
      el("div", {}, step.why, " ", step.page
        ? el("a", { href: step.page, target: "_blank", rel: "noopener" }, step.see)
        : el("span", { class: "ct-faint" }, step.see)),
      el("details", {}, el("summary", {}, isDone ? "what it had to call" : "what it is going to call"),
        el("div", { class: "ct-mono ct-stepper-calls" }, step.calls.map((call) => el("div", {}, call)))),
    );
    here.disabled = !(open() || !live) || (live ? at() <= now().index : at() === now().index);
  };
  const drawNow = () => {
    const { says, index, changes, done: calls, output } = now();
    state.textContent = open() ? `step ${index + 1} of ${steps.length} comes next` : says;
    next.disabled = end.disabled = !open();
    stop.hidden = !live || !["half-made", "running"].includes(now().state);
    stop.firstChild.textContent = now().state === "running" ? "Kill it" : "Give up";
    look.hidden = now().state !== "running";
    const last = index > 0 ? steps[index - 1] : null;
    done.replaceChildren(
      ...(last ? [el("div", { class: "ct-faint" }, `What step ${last.number}, ${last.title}, really called:`)] : []),
      ...calls.map(([text, cost, errno, page]) => el("div", { class: `ct-mono ct-stepper-call${errno ? " ct-stepper-failed" : ""}` },
        page ? el("a", { href: page, target: "_blank", rel: "noopener", title: "its manual page" }, text.split("(")[0]) : "",
        page ? text.slice(text.indexOf("(")) : text, el("span", { class: "ct-faint" }, ` ${time(cost)}`))),
      ...(last ? [el("div", { class: "ct-stepper-changes" }, changes.length
        ? changes.map((line) => el("div", {}, `+ ${line}`))
        : el("span", { class: "ct-faint" }, open() ? "Nothing that these tables show has changed." : ""))] : []),
      ...(output ? [el("div", { class: "ct-faint" }, "What the program wrote:"), el("div", { class: "ct-output" }, output)] : []),
    );
    say(last ? `step ${last.number}, ${last.title}, done. ${changes.join(". ")}` : "");
  };
  const drawTables = () => {
    const { tables, pid } = now();
    pages.forEach((page, place) => {
      const found = tables[page.key] ?? { cells: [], marks: [] };
      const marks = new Set(found.marks);
      const isHosts = new Set(found.hosts ?? []);
      const all = found.cells.map((cells, index) => ({ key: `${index}-${cells[0]}`, cells, index, class: marks.has(index) ? "ct-stepper-new" : "" }));
      page.draw(all.filter((row) => !isHosts.has(row.index)));
      page.table.hidden = all.length === isHosts.size;
      page.note.textContent = all.length ? "" : pid || open() ? "There is no process yet: the first steps make it." : "There is nothing to see any more.";
      if (page.key === "mounts") {
        drawHosts(all.filter((row) => isHosts.has(row.index)));
        hosts.hidden = isHosts.size === 0;
        hosts.firstChild.textContent = `${isHosts.size} mounts of the host can be seen from here`;
      }
      labels[place].classList.toggle("ct-stepper-marked", marks.size > 0);
      labels[place].title = marks.size > 0 ? "the last step changed something here" : "";
    });
  };
  const draw = () => { drawSteps(); drawWords(); drawNow(); drawTables(); };

  box.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const moves = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8, Home: -Infinity, End: Infinity };
    if (event.key in deeds) {
      const { [event.key]: pressed } = { n: next, r: here, e: end };
      if (!pressed.disabled) deeds[event.key]();
    } else if (event.key in moves && event.target === list) {
      choose(Math.max(0, Math.min(steps.length - 1, at() + moves[event.key])));
    } else if (event.key !== "Enter" || event.target !== list) {
      return;
    }
    event.preventDefault();
  });
  keepKeys(box);
  // A program that runs is looked at now and then until it has ended; the next time is set by the answer.
  let again, pause = SOON_MS;
  const goOn = () => {
    clearTimeout(again);
    if (!live || now().state !== "running") { pause = SOON_MS; return; }
    again = setTimeout(() => ask(model, "look"), pause);
    pause = Math.min(pause * 1.5, LATE_MS);
  };
  let drawn = now().index;
  const stops = [follow(model, ["shown"], () => {
    if (now().index !== drawn) { drawn = now().index; chosen = -1; }
    draw();
    goOn();
  }), () => clearTimeout(again)];
  box.append(
    el("div", { class: "ct-head" },
      el("span", { class: `ct-chip ${live ? "ct-good" : "ct-bad"}` }, live ? "live" : model.get("label")),
      el("span", { class: "ct-mono ct-stepper-command" }, model.get("command"))),
    el("div", { class: "ct-stepper-bar", role: "toolbar", "aria-label": "steps" }, next, here, end, stop, look, state),
    card, region,
    el("div", { class: "ct-stepper-both" }, el("div", { class: "ct-stepper-left" }, list, words), el("div", { class: "ct-stepper-right" }, done, book)),
  );
  root.append(box);
  return () => { stops.forEach((each) => each()); stopCard(); };
}

const prefixOf = (model) => (model.ctPrefix ??= `ct-step-${Math.random().toString(36).slice(2)}`);

const time = (us) => (us >= 1000 ? `${(us / 1000).toFixed(1)} ms` : `${Math.round(us)} µs`);

// Scrolls the list, and nothing else on the page, so that a row is in the middle of what can be seen of it.
function reveal(list, row) {
  list.scrollTop = row.offsetTop - list.offsetTop - list.clientHeight / 2;
}

export default { render };
