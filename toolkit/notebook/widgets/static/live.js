// What pictures that move share (see live.py): they tell the kernel when they are in sight, and the page when it is silent.

const LOOK_MS = 5000;
const SILENT_MS = 8000;

// Follows whether `box` is in sight; returns a badge that says whether the picture is alive, and how to stop.
function watched(model, box) {
  const view = `${Date.now()}-${Math.random()}`;
  const badge = el("span", { class: "ct-live", role: "status" });
  let inSight = false;
  let timer = null;
  let heard = Date.now();
  const say = (deed) => {
    try { ask(model, deed, { view }); } catch { /* the kernel is gone: the badge says so */ }
  };
  const draw = () => {
    const alive = Date.now() - heard < SILENT_MS;
    const text = alive ? "live" : "standing still: the kernel is silent. Was it restarted? Run this cell again";
    if (badge.textContent !== text) badge.textContent = text;
    badge.classList.toggle("ct-still", !alive);
  };
  const follow = () => {
    const looks = inSight && document.visibilityState === "visible";
    if (looks && timer === null) {
      heard = Date.now();
      say("look");
      timer = setInterval(() => { say("look"); draw(); }, LOOK_MS);
    } else if (!looks && timer !== null) {
      clearInterval(timer);
      timer = null;
      say("leave");
    }
    draw();
  };
  const hear = () => { heard = Date.now(); draw(); };
  const observer = new IntersectionObserver((entries) => { inSight = entries.at(-1).isIntersecting; follow(); });
  observer.observe(box);
  document.addEventListener("visibilitychange", follow);
  model.on("change:beats", hear);
  draw();
  return [badge, () => {
    observer.disconnect();
    document.removeEventListener("visibilitychange", follow);
    model.off("change:beats", hear);
    inSight = false;
    follow();
  }];
}

// Calls draw now and at each change of one of the traits; returns how to stop.
function follow(model, traits, draw) {
  const names = traits.map((name) => `change:${name}`);
  for (const name of names) model.on(name, draw);
  draw();
  return () => { for (const name of names) model.off(name, draw); };
}

// Moves the focus among `selector` with the arrow keys, as in a table: `columns` of them in a row.
function arrows(box, selector, columns) {
  box.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns(), ArrowDown: columns() };
    if (!(event.key in steps)) return;
    const all = [...box.querySelectorAll(selector)];
    const at = all.indexOf(event.target);
    const next = all[at + steps[event.key]];
    if (at < 0 || !next) return;
    event.preventDefault();
    event.stopPropagation();
    next.focus();
  });
}

// JupyterLab listens to plain keys in a notebook ("a" adds a cell): what is typed into a picture stays in it.
function keepKeys(box) {
  box.addEventListener("keydown", (event) => { if (event.key !== "Escape") event.stopPropagation(); });
}
