// The namespace map: one row for each process, one column for each kind, the same colour for the same namespace.

const END_DIGITS = 5;

function render({ model, el: root }) {
  const box = el("div", { class: "ct ct-map" });
  const [card, stopCard] = troubleCard(model);
  const [badge, stopWatching] = watched(model, box);
  const table = el("table", { class: "ct-map-table" });
  const choice = el("div", { class: "ct-map-choice", "aria-live": "polite" });
  const command = el("input", { class: "ct-input", value: "hostname", "aria-label": "command to run in the chosen namespaces", spellcheck: "false" });
  const button = el("button", { class: "ct-button", type: "submit" }, "Run there");
  const clear = el("button", { class: "ct-button", type: "button", onclick: () => choose({}) }, "Clear");
  const form = el("form", { class: "ct-map-form" }, el("label", {}, "join them and run "), command, button, clear);
  const answer = el("div", { class: "ct-map-answer", "aria-live": "polite" });

  const choose = (chosen) => { model.set("chosen", chosen); model.save_changes(); };
  const toggle = (kind, pid) => {
    const { [kind]: before, ...rest } = model.get("chosen");
    choose(before === pid ? rest : { ...rest, [kind]: pid });
  };
  const toggleRow = (row) => {
    const { kinds, rows } = model.get("shown");
    const ours = rows.find((each) => each.note === "this notebook") ?? rows[0];
    const own = kinds.map(([kind], place) => [kind, place]).filter(([, place]) => row.cells[place][0] !== ours.cells[place][0]);
    choose(Object.fromEntries(own.map(([kind]) => [kind, row.pid])));
  };

  const drawTable = () => {
    const focused = document.activeElement?.dataset?.at;
    const { kinds, groups, rows } = model.get("shown");
    const chosen = model.get("chosen");
    const head = el("tr", {}, el("th", {}, "process"), kinds.map(([kind, meaning]) => el("th", { title: meaning }, kind)));
    const lines = groups.flatMap(([name, colour, more], group) => [
      el("tr", { class: "ct-map-group" }, el("td", { colspan: kinds.length + 1, style: colour ? `color: ${colour}` : null }, name)),
      ...rows.filter((row) => row.group === group).map((row) => drawRow(row, kinds, groups, chosen)),
      more ? el("tr", {}, el("td", { class: "ct-faint" }, `and ${more} more`)) : null,
    ]);
    table.replaceChildren(el("thead", {}, head), el("tbody", {}, ...lines.filter(Boolean)));
    if (focused) table.querySelector(`[data-at="${focused}"]`)?.focus();
  };
  const drawRow = (row, kinds, groups, chosen) => el("tr", {},
    el("td", { class: "ct-mono" }, row.group === 0
      ? el("span", {}, el("b", {}, `${row.pid}`), ` ${row.command} `, el("span", { class: "ct-faint" }, row.note))
      : el("button", { class: "ct-map-process", "data-at": `${row.pid}`, title: `${row.inner} inside. Choose all namespaces that are not this notebook's`, onclick: () => toggleRow(row) },
        el("b", {}, `${row.pid}`), ` ${row.command}`)),
    kinds.map(([kind, meaning], place) => {
      const [inode, owner] = row.cells[place];
      const [name, colour] = groups[owner];
      const pressed = chosen[kind] === row.pid;
      if (!inode) return el("td", {}, el("span", { class: "ct-faint", title: "this machine lets nobody look at this process's namespaces" }, "?"));
      return el("td", {}, el("button", {
        class: `ct-map-cell${colour ? " ct-map-own" : ""}`, style: colour ? `--own: ${colour}` : null,
        "aria-pressed": `${pressed}`, "data-at": `${row.pid}-${kind}`,
        "aria-label": `${kind} namespace ${inode} of process ${row.pid}, ${name}'s`,
        title: `${meaning}: ${kind}:[${inode}], ${name === "this machine" ? "this machine's" : `came with ${name}`}`,
        onclick: () => toggle(kind, row.pid),
      }, `${inode}`.slice(-END_DIGITS)));
    }));
  const drawChoice = () => {
    const chosen = Object.entries(model.get("chosen"));
    const { rows } = model.get("shown");
    button.disabled = clear.disabled = chosen.length === 0;
    choice.replaceChildren(...(chosen.length === 0
      ? [el("span", { class: "ct-faint" }, "Choose namespaces by their numbers, or a container's process for all that it does not share.")]
      : ["chosen: ", ...chosen.map(([kind, pid]) => el("span", { class: "ct-chip" }, `${kind} of ${rows.some((row) => row.pid === pid) ? pid : `${pid}, gone`}`))]));
  };
  const drawAnswer = () => {
    const { command: asked, calls, output, code } = model.get("answer");
    button.textContent = "Run there";
    answer.replaceChildren(...(asked === undefined ? [] : [
      el("div", { class: "ct-mono ct-faint" }, calls.map((call) => el("div", {}, call))),
      el("div", { class: "ct-output" }, el("span", { class: "ct-faint" }, `$ ${asked}\n`), output),
      el("div", {}, el("span", { class: `ct-chip ${code ? "ct-bad" : "ct-good"}` }, `exit code ${code}`)),
    ]));
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (button.disabled) return;
    button.textContent = "running…";
    ask(model, "join", { command: command.value });
  });
  arrows(table, ".ct-map-cell", () => model.get("shown").kinds.length);
  keepKeys(box);
  const stops = [
    follow(model, ["shown", "chosen"], drawTable), follow(model, ["shown", "chosen"], drawChoice),
    follow(model, ["answer"], drawAnswer), follow(model, ["trouble"], () => { button.textContent = "Run there"; }),
  ];
  box.append(
    el("div", { class: "ct-head" }, el("strong", {}, "Who shares what"), badge),
    el("div", { class: "ct-map-scroll" }, table),
    el("div", { class: "ct-faint ct-map-legend" }, "Each number is the end of a namespace's number in /proc/PID/ns; the same number in a column is the same namespace. Grey: this machine's. A colour: the container's that it came with."),
    choice, form, card, answer,
  );
  root.append(box);
  return () => { stops.forEach((stop) => stop()); stopCard(); stopWatching(); };
}

export default { render };
