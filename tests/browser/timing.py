"""What a page measures by itself: programs for `page.evaluate` that return milliseconds, for tests and benchmarks."""

CLICKS = """async (name) => {
  const view = document.querySelectorAll('.ct-stepper')[0];
  const state = view.querySelector('.ct-stepper-state');
  const took = [];
  for (let round = 0; round < 30; round += 1) {
    const before = state.textContent;
    const start = performance.now();
    [...view.querySelectorAll('button')].find((each) => each.textContent.startsWith(name)).click();
    await new Promise((done) => {
      const observer = new MutationObserver(() => {
        if (state.textContent === before) return;
        observer.disconnect();
        requestAnimationFrame(() => setTimeout(done));
      });
      observer.observe(state, { childList: true, characterData: true, subtree: true });
    });
    took.push(performance.now() - start);
  }
  return took;
}"""
"""Presses the button of the first stepper whose label begins so thirty times; from each click until the next frame."""

DRAWS = """async ([source, shown]) => {
  const module = await import(URL.createObjectURL(new Blob([source], { type: 'text/javascript' })));
  const model = { get: (name) => ({ shown, is_replayed: true })[name] };
  const took = [];
  for (let round = 0; round < 5; round += 1) {
    const el = document.body.appendChild(document.createElement('div'));
    el.style.width = '900px';
    const start = performance.now();
    const stop = module.default.render({ model, el });
    await new Promise((done) => requestAnimationFrame(() => setTimeout(done)));
    took.push(performance.now() - start);
    stop();
    el.remove();
  }
  return took;
}"""
"""Draws a timeline of these facts five times, from a widget's module; until the next frame."""
