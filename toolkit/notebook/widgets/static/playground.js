// The playground: a grid of capabilities, a seccomp filter, and one command that is run with what was chosen.

function render({ model, el: root }) {
  const box = el("div", { class: "ct ct-play" });
  const [card, stopCard] = troubleCard(model);
  const powers = model.get("powers");
  const meaning = el("div", { class: "ct-play-meaning", "aria-live": "polite" });
  const count = el("span", { class: "ct-faint" });
  const explain = (power) => { meaning.replaceChildren(el("b", {}, power.name), `: ${power.meaning}.`, power.usual ? " One of docker's fourteen." : "", power.available ? "" : " This machine does not give it."); };
  const toggle = (power) => {
    const kept = model.get("kept");
    model.set("kept", kept.includes(power.name) ? kept.filter((name) => name !== power.name) : [...kept, power.name]);
    model.save_changes();
  };
  const cells = powers.map((power) => el("button", {
    class: `ct-play-cell${power.usual ? " ct-play-usual" : ""}`, disabled: !power.available, title: power.meaning, "aria-label": `${power.name}: ${power.meaning}`,
    onclick: () => toggle(power), onfocus: () => explain(power), onmouseenter: () => explain(power),
  }, power.name.replace("CAP_", "")));
  const grid = el("div", { class: "ct-play-grid", role: "group", "aria-label": "capabilities" }, cells);
  const preset = (name, choose) => el("button", { class: "ct-button ct-play-preset", onclick: () => {
    model.set("kept", powers.filter((power) => power.available && choose(power)).map((power) => power.name));
    model.save_changes();
  } }, name);
  const seccomp = el("select", { class: "ct-input", "aria-label": "seccomp filter" },
    el("option", { value: "default" }, "docker's default filter"), el("option", { value: "unconfined" }, "no filter"), el("option", { value: "one" }, "deny one call:"));
  const denied = el("input", { class: "ct-input ct-play-denied", value: "mkdir", "aria-label": "the call that is denied", spellcheck: "false" });
  const noNew = el("input", { type: "checkbox", id: `nn${Math.random()}` });
  const known = el("select", { class: "ct-input", "aria-label": "commands to choose from" }, el("option", { value: "" }, "choose a command…"),
    model.get("commands").map(([command, needs]) => el("option", { value: command }, `${command.length > 44 ? `${command.slice(0, 43)}…` : command}  (needs ${needs})`)));
  const command = el("input", { class: "ct-input ct-play-command", value: model.get("commands")[0][0], "aria-label": "command", spellcheck: "false" });
  const button = el("button", { class: "ct-button", type: "submit" }, "Run");
  const form = el("form", { class: "ct-play-form" }, known, command, button);
  const result = el("div", { class: "ct-play-result", "aria-live": "polite" });
  let isAsked = false;

  known.addEventListener("change", () => { if (known.value) command.value = known.value; });
  const choice = () => (seccomp.value === "one" ? denied.value.trim() : seccomp.value);
  const chosen = () => { denied.hidden = seccomp.value !== "one"; };
  seccomp.addEventListener("change", chosen);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    if (button.disabled) return;
    isAsked = true;
    drawButton();
    ask(model, "run", { command: command.value, kept: model.get("kept"), seccomp: choice(), no_new_privileges: noNew.checked });
  });
  const drawButton = () => {
    const isBusy = isAsked || model.get("running");
    button.disabled = isBusy;
    button.textContent = isBusy ? "running…" : "Run";
  };
  const drawGrid = () => {
    const kept = new Set(model.get("kept"));
    cells.forEach((cell, place) => cell.setAttribute("aria-pressed", `${kept.has(powers[place].name)}`));
    count.textContent = `${kept.size} of ${powers.length} held; a dot marks docker's fourteen`;
  };
  const drawSeccomp = () => {
    const value = model.get("seccomp");
    seccomp.value = ["default", "unconfined"].includes(value) ? value : "one";
    if (seccomp.value === "one") denied.value = value;
    noNew.checked = model.get("no_new_privileges");
    chosen();
  };
  const drawResult = () => {
    isAsked = false;
    drawButton();
    const tried = model.get("result");
    if (tried.command === undefined) return;
    result.replaceChildren(
      el("div", { class: "ct-output", tabindex: 0, "aria-label": "what it printed" }, el("span", { class: "ct-faint" }, `$ ${tried.command}\n`), tried.output.trimEnd() || "(it printed nothing)"),
      el("div", { class: "ct-play-facts" }, el("span", { class: `ct-chip ${tried.exit_code ? "ct-bad" : "ct-good"}` }, `exit code ${tried.exit_code}`),
        el("span", { class: "ct-faint" }, `the process had ${tried.seccomp}${tried.has_no_new_privileges ? ", and no way to new privileges" : ""}`)),
      ...drawRefused(tried),
      el("div", { class: "ct-play-eff" }, el("b", {}, "CapEff in its /proc/PID/status: "), el("span", { class: "ct-mono" }, tried.effective.map((name) => name.replace("CAP_", "").toLowerCase()).join(" ") || "none")),
      ...(tried.note ? [el("div", { class: "ct-trouble" }, tried.note)] : []));
  };
  arrows(grid, ".ct-play-cell:not(:disabled)", () => Math.max(1, getComputedStyle(grid).gridTemplateColumns.split(" ").length));
  keepKeys(box);
  const stops = [follow(model, ["kept"], drawGrid), follow(model, ["seccomp", "no_new_privileges"], drawSeccomp), follow(model, ["result"], drawResult),
    follow(model, ["running"], drawButton), follow(model, ["trouble"], () => { if (model.get("trouble").message) { isAsked = false; drawButton(); } })];
  meaning.textContent = "A capability is a piece of root's power. Point at one to read what it allows; click to give or take it.";
  box.append(
    el("div", { class: "ct-head" }, el("strong", {}, "What may root do in there?"), count),
    grid, meaning,
    el("div", { class: "ct-play-row" }, preset("docker's", (power) => power.usual), preset("none", () => false), preset("all", () => true),
      el("span", { class: "ct-play-gap" }), el("label", {}, "seccomp: ", seccomp), denied, el("label", {}, noNew, " no new privileges")),
    form, card, result);
  root.append(box);
  return () => { stops.forEach((stop) => stop()); stopCard(); };
}

function drawRefused(tried) {
  if (tried.refused.length) return [el("div", {}, el("b", {}, "The kernel did not permit:")), ...tried.refused.map((call) => el("div", { class: "ct-mono ct-play-call" }, call))];
  if (!tried.listens) return [el("div", { class: "ct-faint" }, "Which call was refused cannot be told: this machine has no strace to listen with.")];
  return [el("div", { class: "ct-faint" }, "None of its system calls was refused. (What is asked over a socket, as ip does, is answered there.)")];
}

export default { render };
