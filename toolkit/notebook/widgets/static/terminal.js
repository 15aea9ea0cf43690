// A container's terminal: xterm.js, fed by messages whose bytes are acknowledged when they are drawn (see terminal.py).

const MOST_BEHIND = 2 * 1024 * 1024; // bytes in this page's memory; the kernel sends no more than 256 KiB ahead
const SILENT_MS = 700;
const FIT_MS = 60;

// Returns xterm.js's classes; the kernel of the first terminal in a page brings them, and no server.
async function library(model) {
  const known = (globalThis[Symbol.for("container-toolkit.terminal")] ??= {});
  const name = model.get("library");
  known[name] ??= bring(model).catch((error) => { delete known[name]; throw error; });
  return known[name];
}

function bring(model) {
  return new Promise((resolve, reject) => {
    const timer = setInterval(() => ask(model, "library"), 3000); // a kernel that runs a cell may answer late
    const take = async (content, buffers) => {
      if (content.event !== "library") return;
      clearInterval(timer);
      model.off("msg:custom", take);
      try {
        const [{ Terminal }, { FitAddon }] = await Promise.all(buffers.map(load));
        resolve({ Terminal, FitAddon });
      } catch (error) {
        reject(error);
      }
    };
    model.on("msg:custom", take);
    ask(model, "library");
  });
}

async function load(bytes) {
  const url = URL.createObjectURL(new Blob([bytes], { type: "text/javascript" }));
  try {
    return await import(url);
  } finally {
    URL.revokeObjectURL(url);
  }
}

// The page's own colours; those of programs are chosen to be told apart on them.
function theme(node) {
  const page = getComputedStyle(node);
  const colour = (name, otherwise) => page.getPropertyValue(name).trim() || otherwise;
  const background = colour("--jp-layout-color0", "#ffffff");
  const foreground = colour("--jp-content-font-color1", "#202020");
  const selection = colour("--jp-editor-selected-focused-background", "#3b82c455");
  return {
    background, foreground: opaque(foreground, background), cursor: "#3b82c4", cursorAccent: background,
    selectionBackground: selection,
    black: "#4d4d4d", red: "#cf4a4a", green: "#2a9d6f", yellow: "#b07d1e", blue: "#3b82c4", magenta: "#8b6bc7", cyan: "#2b95a3", white: "#a8a8a8",
    brightBlack: "#7f7f7f", brightRed: "#e06666", brightGreen: "#3dbb87", brightYellow: "#d98324", brightBlue: "#5b9bd5", brightMagenta: "#a68bdb", brightCyan: "#45b3c1", brightWhite: "#d0d0d0",
  };
}

// xterm.js mixes colours, and takes no transparent ink: JupyterLab's is black or white with an alpha.
function opaque(ink, ground) {
  const pad = el("canvas", { width: 1, height: 1 }).getContext("2d", { willReadFrequently: true });
  for (const colour of [ground, ink]) { pad.fillStyle = colour; pad.fillRect(0, 0, 1, 1); }
  const [red, green, blue] = pad.getImageData(0, 0, 1, 1).data;
  return `rgb(${red}, ${green}, ${blue})`;
}

function statusText({ how, code, name }) {
  if (how === "ended") return `ended with exit code ${code}`;
  if (how === "detached") return `left: ${name} goes on; %container attach ${name} brings it back`;
  if (how === "lost") return "the container's monitor was killed: how it ended is not known";
  return "";
}

function render({ model, el: root }) {
  const view = `${Date.now()}-${Math.random()}`;
  const [card, stopCard] = troubleCard(model);
  const [said, say] = announcer();
  const place = el("div", { class: "ct-term-screen", "data-lm-suppress-shortcuts": true });
  const status = el("span", { class: "ct-faint" }, "connecting to the kernel…");
  const button = el("button", { class: "ct-button ct-term-close", type: "button", onclick: () => ask(model, "close") }, "Close");
  const head = el("div", { class: "ct-term-head" }, el("strong", {}, model.get("state").name), status, button);
  const keys = el("div", { class: "ct-faint ct-term-keys" }, "Shift-Esc leaves the keyboard, Ctrl-Shift-C copies, the corner resizes");
  root.append(el("div", { class: "ct ct-term" }, head, place, keys, said, card));

  let stop = () => {};
  let isClosed = false;
  const stops = [stopCard];
  const drawState = () => {
    const state = model.get("state");
    const text = statusText(state);
    status.textContent = text;
    button.hidden = keys.hidden = state.how !== "open";
    say(text && `terminal of ${state.name} ${text}`);
  };
  library(model).then((parts) => {
    if (isClosed) return;
    drawState();
    model.on("change:state", drawState);
    stops.push(() => model.off("change:state", drawState));
    stop = connect(model, view, parts, { place, status, button });
  }, (error) => { status.textContent = `the terminal cannot be drawn: ${error.message}`; });
  return () => { isClosed = true; stop(); stops.forEach((each) => each()); };
}

function connect(model, view, { Terminal, FitAddon }, { place, status, button }) {
  const [rows, columns] = model.get("size");
  const term = new Terminal({
    rows, cols: columns, fontFamily: getComputedStyle(place).fontFamily, fontSize: 13, theme: theme(place),
    scrollback: 5000, minimumContrastRatio: 4.5, cursorBlink: true, allowProposedApi: false,
  });
  const fit = new FitAddon();
  term.loadAddon(fit);
  term.open(place);

  // What comes: drawn, then acknowledged.
  let joined = false;
  let pending = 0;
  let lost = false;
  const room = () => { const size = fit.proposeDimensions(); return size && size.cols > 1 ? { rows: size.rows, columns: size.cols } : { rows, columns }; };
  const join = () => { joined = false; lost = false; ask(model, "join", { view, ...room() }); };
  const draw = (end, bytes) => {
    pending += bytes.byteLength;
    term.write(new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength), () => {
      pending -= bytes.byteLength;
      if (joined) ask(model, "drawn", { view, end });
      if (lost && pending === 0) join();
    });
    if (pending > MOST_BEHIND) { joined = false; lost = true; }
  };
  const take = (content, [bytes]) => {
    if (content.event === "replay" && content.view === view) {
      joined = true;
      term.reset();
      follow();
      draw(content.end, bytes);
    } else if (content.event === "output" && joined) {
      draw(content.end, bytes);
    } else if (content.event === "heard" && content.view === view) {
      hear(content.number);
    } else if (content.event === "again" && content.view === view) {
      join();
    }
  };
  const follow = () => { const [high, wide] = model.get("size"); term.resize(wide, high); };

  // What is typed: numbered, so that a kernel that is busy can be told from one that listens.
  let typed = 0;
  let waiting = null;
  const hear = (number) => {
    if (number < typed) return;
    clearTimeout(waiting);
    waiting = null;
    if (status.dataset.busy) { delete status.dataset.busy; status.textContent = ""; }
  };
  const complain = () => {
    status.dataset.busy = "1";
    status.textContent = "the kernel runs a cell: what you type waits until it has ended";
  };
  const type = (words, buffers) => {
    if (model.get("state").how !== "open") return;
    typed += 1;
    ask(model, "type", { view, number: typed, ...words }, buffers);
    waiting ??= setTimeout(complain, SILENT_MS);
  };
  term.onData((text) => type({ text }));
  term.onBinary((text) => type({}, [Uint8Array.from(text, (letter) => letter.charCodeAt(0)).buffer]));
  term.attachCustomKeyEventHandler((event) => {
    if (event.key === "Escape" && event.shiftKey) {
      if (event.type === "keydown") (button.hidden ? place.closest(".jp-Notebook") ?? document.body : button).focus();
      return false;
    }
    if (event.ctrlKey && event.shiftKey && event.code === "KeyC") {
      if (event.type === "keydown" && term.hasSelection()) navigator.clipboard?.writeText(term.getSelection());
      event.preventDefault();
      return false;
    }
    return true;
  });

  // How large it is, and how it looks.
  let fitting = null;
  const propose = () => { clearTimeout(fitting); fitting = setTimeout(() => { if (joined) ask(model, "resize", { view, ...room() }); }, FIT_MS); };
  const watcher = new ResizeObserver(propose);
  watcher.observe(place);
  const dress = () => { term.options.theme = theme(place); };
  const dresser = new MutationObserver(() => requestAnimationFrame(dress));
  dresser.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name", "data-jp-theme-light", "class"] });
  const sleep = () => { const open = model.get("state").how === "open"; term.options.disableStdin = !open; term.options.cursorBlink = open; };
  model.on("msg:custom", take);
  model.on("change:size", follow);
  model.on("change:state", sleep);
  sleep();
  requestAnimationFrame(join); // when the place has its size
  return () => {
    ask(model, "leave", { view });
    model.off("msg:custom", take);
    model.off("change:size", follow);
    model.off("change:state", sleep);
    watcher.disconnect();
    dresser.disconnect();
    clearTimeout(waiting);
    clearTimeout(fitting);
    term.dispose();
  };
}

export default { render };
