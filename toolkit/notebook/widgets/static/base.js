// What all widgets share; read in front of each one's own module (see base.py).

const SVG_TAGS = new Set(["svg", "g", "path", "line", "rect", "circle", "text", "tspan", "title", "polyline", "defs", "marker"]);

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

// Asks the kernel for a deed: the method do_NAME of the widget does it.
function ask(model, name, words = {}) {
  model.send({ do: name, ...words });
}

// A card that says what went wrong, and follows the trait `trouble`; returns the element and how to stop following.
function troubleCard(model) {
  const card = el("div", { class: "ct-trouble", role: "alert" });
  const draw = () => {
    const trouble = model.get("trouble") ?? {};
    card.hidden = !trouble.message;
    card.replaceChildren(
      ...(trouble.message ? [el("strong", {}, trouble.message), trouble.hint ? el("div", {}, trouble.hint) : ""] : []),
    );
  };
  model.on("change:trouble", draw);
  draw();
  return [card, () => model.off("change:trouble", draw)];
}
