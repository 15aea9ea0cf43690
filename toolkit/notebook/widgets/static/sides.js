// Host and container side by side: one command, two columns; what is on both sides is marked, and points to its other.

function render({ model, el: root }) {
  const box = el("div", { class: "ct ct-sides" });
  const [card, stopCard] = troubleCard(model);
  const [badge, stopWatching] = watched(model, box);
  const topics = model.get("topics");
  const pages = topics.map(([name, same]) => page(name, same));
  const [tabbed, choose] = tabs("what is looked at", pages.map((each) => [each.name, each.node]), (index) => ask(model, "show", { topic: index }));
  const ending = el("div", { class: "ct-sides-end", role: "status" }, "The container does not run any more: this is what was seen last.");
  const title = el("strong", {});
  keepKeys(box);
  const draw = () => {
    const shown = model.get("shown");
    title.textContent = `This machine, and inside ${model.get("name")}`;
    ending.hidden = !model.get("ended");
    choose(model.get("topic"));
    if (shown.topic !== undefined) pages[shown.topic].draw(shown, model.get("name"));
  };
  const stop = follow(model, ["shown", "topic", "ended", "name"], draw);
  box.append(el("div", { class: "ct-head" }, title, badge), ending, tabbed, card);
  root.append(box);
  return () => { stop(); stopCard(); stopWatching(); };
}

function page(name, same) {
  const command = el("div", { class: "ct-mono ct-faint" }, "…");
  const outside = column();
  const inside = column();
  const legend = el("div", { class: "ct-faint ct-sides-legend" }, el("span", { class: "ct-sides-same" }, "blue"), ` marks ${same} on both sides; point at a line to see its other.`);
  const node = el("div", {}, command, el("div", { class: "ct-sides-columns" }, outside.node, inside.node), legend);
  const point = (key, isOn) => { for (const line of node.querySelectorAll(".ct-sides-line")) line.classList.toggle("ct-sides-point", isOn && line.dataset.key === key); };
  const draw = (shown, container) => {
    command.textContent = `$ ${shown.command}`;
    outside.draw("this machine", shown.outside, point);
    inside.draw(`inside ${container}`, shown.inside, point);
  };
  return { name, node, draw };
}

function column() {
  const title = el("div", { class: "ct-faint" });
  const lines = el("div", { class: "ct-sides-lines", tabindex: 0 });
  const note = el("div", { class: "ct-faint" });
  const draw = (name, side, point) => {
    const before = lines.scrollTop;
    title.textContent = name;
    lines.setAttribute("aria-label", name);
    note.textContent = side.note;
    lines.replaceChildren(...side.lines.map(([text, key]) => el("div", {
      class: `ct-sides-line${key ? " ct-sides-same" : ""}`, "data-key": key || null,
      ...(key ? { onmouseenter: () => point(key, true), onmouseleave: () => point(key, false) } : {}),
    }, text)));
    lines.scrollTop = before;
  };
  return { node: el("div", { class: "ct-sides-column" }, title, lines, note), draw };
}

export default { render };
