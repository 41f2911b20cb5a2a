// A list to work off: what is ticked off, and how far one is.
// Laws: marks are kept in this browser's storage alone and never sent; they are opaque, made by the server of a file,
// a function and its text, so that a changed function has a mark that is not known; without storage ticks last as
// long as the page.
"use strict";

(() => {
  const MOST = 20000; // marks kept, those set last
  let held = null; // where storage is refused

  const list = () => document.querySelector("[data-ticks]");
  const name = (of) => `requestcov ${of} ${list().dataset.ticks}`;

  function read() {
    if (held) return held;
    try {
      const kept = JSON.parse(localStorage.getItem(name("done")) ?? "[]");
      return new Set(Array.isArray(kept) ? kept.filter((each) => typeof each === "string") : []);
    } catch {
      return new Set();
    }
  }

  function keep(marks) {
    try {
      localStorage.setItem(name("done"), JSON.stringify([...marks].slice(-MOST)));
    } catch {
      held = marks;
    }
  }

  function hiding(wish) {
    try {
      if (wish !== undefined) localStorage.setItem(name("hide"), wish ? "yes" : "");
      return Boolean(localStorage.getItem(name("hide")));
    } catch {
      return Boolean(wish);
    }
  }

  function show() {
    const panel = list();
    if (!panel) return;
    const done = read();
    const marks = panel.dataset.marks.split(" ").filter(Boolean);
    const ticked = marks.filter((mark) => done.has(mark)).length;
    const hide = hiding();
    panel.hidden = false;
    panel.querySelector("progress").value = ticked;
    const said = `${ticked.toLocaleString("en")} of ${marks.length.toLocaleString("en")}`;
    if (panel.querySelector("[data-said]").textContent !== said) panel.querySelector("[data-said]").textContent = said;
    panel.querySelector("[data-hide]").checked = hide;
    for (const row of document.querySelectorAll("[data-mark]")) {
      const tick = row.querySelector("input");
      const off = done.has(row.dataset.mark);
      tick.hidden = false;
      tick.checked = off;
      row.classList.toggle("done", off);
      row.hidden = off && hide;
    }
  }

  async function copy(button) {
    const field = document.getElementById(button.dataset.copy);
    const said = document.querySelector("[data-copied]");
    try {
      await navigator.clipboard.writeText(field.value);
      said.textContent = "Copied.";
    } catch {
      // Over plain HTTP a browser has no clipboard for pages: the text is shown, selected, to be copied by hand.
      field.closest("details").open = true;
      field.focus();
      field.select();
      said.textContent = "Selected: copy it from there.";
    }
  }

  document.addEventListener("change", (event) => {
    const row = event.target.closest("[data-mark]");
    if (row) {
      const marks = read();
      marks.delete(row.dataset.mark);
      if (event.target.checked) marks.add(row.dataset.mark);
      keep(marks);
    } else if (event.target.matches("[data-hide]")) {
      hiding(event.target.checked);
    } else {
      return;
    }
    show();
  });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copy]");
    if (button) copy(button);
  });

  addEventListener("storage", show); // another tab's ticks
  // A newer page is put in this one's place by exchanging its <main>.
  new MutationObserver(show).observe(document.body, { childList: true });
  show();
})();
