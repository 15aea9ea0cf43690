// The break-it arena: a card for each attack, its defences as switches, and what really happened.

function render({ model, el: root }) {
  const box = el("div", { class: "ct ct-arena" });
  const [card, stopCard] = troubleCard(model);
  const cards = model.get("cards").map((attack) => attackCard(model, attack));
  keepKeys(box);
  const stop = follow(model, ["outcomes", "switches", "running", "trouble"], () => cards.forEach((each) => each.draw()));
  box.append(
    el("div", { class: "ct-head" }, el("strong", {}, "Break it"),
      el("span", { class: "ct-faint" }, "Each attack is really made, in a container that is thrown away. Switch a defence off, and run it again.")),
    card, ...cards.map((each) => each.node),
  );
  root.append(box);
  return () => { stop(); stopCard(); };
}

function attackCard(model, attack) {
  const button = el("button", { class: "ct-button", onclick: () => run() }, "Run");
  const switches = attack.defences.map((defence) => {
    const input = el("input", { type: "checkbox", role: "switch", "aria-label": `${defence.name}, against ${attack.name}` });
    input.addEventListener("change", () => {
      const all = model.get("switches");
      model.set("switches", { ...all, [attack.name]: { ...all[attack.name], [defence.name]: input.checked } });
      model.save_changes();
    });
    return { name: defence.name, input, node: el("label", { class: "ct-arena-switch", title: defence.why }, input, el("span", {}, defence.name)) };
  });
  const outcome = el("div", { class: "ct-arena-outcome", "aria-live": "polite" });
  let isAsked = false;
  const run = () => {
    isAsked = true;
    draw();
    ask(model, "run", { attack: attack.name, defences: model.get("switches")[attack.name] });
  };
  const draw = () => {
    const isOn = model.get("switches")[attack.name] ?? {};
    const seen = model.get("outcomes")[attack.name] ?? [];
    const running = model.get("running");
    if (running === attack.name || model.get("trouble")?.message || seen !== draw.seen) isAsked = isAsked && running === attack.name;
    draw.seen = seen;
    const isBusy = isAsked || running === attack.name;
    for (const each of switches) {
      each.input.checked = isOn[each.name];
      each.input.disabled = isBusy;
      each.node.classList.toggle("ct-arena-on", Boolean(isOn[each.name]));
    }
    button.disabled = isBusy || running !== "";
    button.textContent = isBusy ? "running…" : "Run";
    outcome.replaceChildren(...(isBusy ? [] : drawOutcome(seen)));
  };
  const node = el("section", { class: "ct-arena-card", "data-attack": attack.name, "aria-label": attack.name },
    el("div", { class: "ct-arena-top" }, el("b", {}, attack.name), el("span", { class: "ct-faint ct-arena-see" }, attack.see)),
    el("div", { class: "ct-arena-tries" }, attack.tries),
    el("div", { class: "ct-arena-controls" }, el("span", { class: "ct-faint" }, attack.defences.length > 1 ? "defences:" : "defence:"), switches.map((each) => each.node), button),
    outcome);
  return { node, draw };
}

function drawOutcome(seen) {
  const last = seen.at(-1);
  if (!last) return [];
  if (last.complaint) return [el("div", { class: "ct-trouble" }, last.complaint)];
  const before = seen.slice(0, -1);
  return [
    el("div", { class: "ct-arena-verdict" },
      el("span", { class: `ct-chip ${last.succeeded ? "ct-bad" : "ct-good"}` }, last.succeeded ? "the attack worked" : "the attack failed"),
      el("span", { class: "ct-faint" }, `exit code ${last.code}, ${last.took_s} s${last.late ? ", ended since it took too long" : ""}`)),
    el("div", { class: "ct-output", tabindex: 0, "aria-label": "what it printed" }, last.output.trimEnd() || "(it printed nothing)"),
    el("div", {}, el("b", {}, "The kernel says: "), last.evidence),
    el("div", {}, el("b", {}, "Why: "), last.why),
    before.length ? el("div", { class: "ct-faint ct-arena-before" }, "before: ", before.map((each) => `${stateOf(each)}: ${each.succeeded ? "worked" : "failed"}`).join(" · ")) : null,
  ].filter(Boolean);
}

function stateOf(outcome) {
  return Object.entries(outcome.defences).map(([name, isOn]) => `${name} ${isOn ? "on" : "off"}`).join(", ");
}

export default { render };
