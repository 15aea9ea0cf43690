// What all widgets share; read in front of each one's own module (see base.py).

const SVG_TAGS = new Set(["svg", "g", "path", "line", "rect", "circle", "ellipse", "polygon", "polyline", "text", "tspan", "title", "defs", "marker", "clipPath"]);

// el("button", {class: "ct-button", onclick: f}, "Next") makes an element; a child may be a string, an element or null.
function el(tag, attributes = {}, ...children) {
  const node = SVG_TAGS.has(tag) ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

// Asks the kernel for a deed: the method do_NAME of the widget does it. Where the kernel has gone nothing is asked.
function ask(model, name, words = {}, buffers = undefined) {
  try {
    model.send({ do: name, ...words }, undefined, buffers);
  } catch {
    // the connection is closed: the card below says so (troubleCard)
  }
}

// A card that says what went wrong, and follows the trait `trouble`; returns the element and how to stop following.
// It also says when the kernel that drew the picture has gone, and lets the picture look so: the class ct-gone on .ct.
function troubleCard(model) {
  const card = el("div", { class: "ct-trouble", role: "alert", hidden: true });
  let gone = false;
  const draw = () => {
    card.closest(".ct")?.classList.toggle("ct-gone", gone);
    const { message, hint } = gone
      ? { message: "The kernel that drew this has gone.", hint: "Run the cell again for a new picture." }
      : model.get("trouble") ?? {};
    card.hidden = !message;
    const lines = message ? [el("strong", {}, message), ...(hint ? [el("div", {}, hint)] : [])] : [];
    card.replaceChildren(...lines);
  };
  model.on("change:trouble", draw);
  const stop = followKernel(model, (isThere) => { gone = !isThere; draw(); });
  draw();
  return [card, () => { model.off("change:trouble", draw); stop(); }];
}

// Calls `tell(isThere)` a moment from now, and at each change of whether the kernel of the picture is there.
function followKernel(model, tell) {
  let stopped = false;
  const look = async () => {
    const whole = await model.widget_manager?.get_model?.(model.get("ident")).catch(() => null);
    if (!stopped) tell(whole?.comm_live ?? true);
  };
  const session = model.widget_manager?.context?.sessionContext; // of JupyterLab
  const die = (_sender, status) => { if (status === "autorestarting" || status === "dead") tell(false); };
  model.on("comm_live_update", look);
  session?.statusChanged?.connect(die);
  setTimeout(look);
  return () => {
    stopped = true;
    model.off("comm_live_update", look);
    session?.statusChanged?.disconnect(die);
  };
}

// A place from which a screen reader reads what `say` puts there, and that nobody sees; returns the element and `say`.
function announcer() {
  const region = el("div", { class: "ct-unseen", role: "status", "aria-live": "polite" });
  return [region, (text) => { if (region.textContent !== text) region.textContent = text; }];
}

// Tabs: [["Mounts", panel], ...]. Arrow keys, Home and End choose, and only the chosen tab can be reached with Tab.
// Returns the element and `choose(index)`; `onchoose(index)` is called for what the user chooses.
function tabs(label, pages, onchoose = () => {}) {
  const prefix = `ct-${Math.random().toString(36).slice(2)}`;
  const buttons = pages.map(([name], index) => el("button", {
    class: "ct-tab", role: "tab", type: "button", id: `${prefix}-tab-${index}`, "aria-controls": `${prefix}-${index}`,
    onclick: () => { choose(index); onchoose(index); },
  }, name));
  const panels = pages.map(([, panel], index) => el("div", {
    class: "ct-panel", role: "tabpanel", id: `${prefix}-${index}`, "aria-labelledby": `${prefix}-tab-${index}`,
  }, panel));
  const choose = (chosen) => buttons.forEach((button, index) => {
    button.setAttribute("aria-selected", `${index === chosen}`);
    button.tabIndex = index === chosen ? 0 : -1;
    panels[index].hidden = index !== chosen;
  });
  const keys = { ArrowRight: (at) => at + 1, ArrowLeft: (at) => at - 1, Home: () => 0, End: () => pages.length - 1 };
  const list = el("div", { class: "ct-tabs", role: "tablist", "aria-label": label, onkeydown: (event) => {
    const at = buttons.indexOf(event.target);
    if (at < 0 || !(event.key in keys)) return;
    event.preventDefault();
    event.stopPropagation();
    const next = (keys[event.key](at) + pages.length) % pages.length;
    buttons[next].focus();
    buttons[next].click();
  } }, buttons);
  choose(0);
  return [el("div", {}, list, panels), choose];
}

// A table whose rows come and go: columns are headings, rows are {key, cells, class}. Rows that stay keep their
// elements, and with them focus and selection; a cell that changed is marked for a moment (ct-changed).
// Returns the element and `draw(rows)`.
function liveTable(caption, columns) {
  const body = el("tbody");
  const known = new Map();
  const draw = (rows) => {
    const keys = new Set(rows.map((row) => `${row.key}`));
    for (const [key, line] of known) if (!keys.has(key)) { line.remove(); known.delete(key); }
    rows.forEach((row, index) => {
      const key = `${row.key}`;
      const line = known.get(key) ?? el("tr", {}, columns.map(() => el("td")));
      known.set(key, line);
      line.className = row.class ?? "";
      row.cells.forEach((cell, column) => drawCell(line.cells[column], cell));
      if (body.children[index] !== line) body.insertBefore(line, body.children[index] ?? null);
    });
  };
  const head = el("thead", {}, el("tr", {}, columns.map((name) => el("th", { scope: "col" }, name))));
  return [el("table", { class: "ct-table" }, el("caption", { class: "ct-unseen" }, caption), head, body), draw];
}

// A cell is a string, a number or an element; only a text that differs is written.
function drawCell(node, cell) {
  if (cell instanceof Node) { node.replaceChildren(cell); return; }
  const text = `${cell ?? ""}`;
  if (node.textContent === text) return;
  if (node.textContent !== "") {
    node.classList.remove("ct-changed");
    requestAnimationFrame(() => node.classList.add("ct-changed"));
  }
  node.textContent = text;
}
