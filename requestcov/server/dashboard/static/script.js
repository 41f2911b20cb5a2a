// What pages do beyond links and forms: they stay up to date, can be searched while typing, and obey keys.
// Laws: everything works without this file; what is shown comes from the server as the page's own HTML, and is
// never put together here; a page that is being used (a selection, an open list) is not changed under the hand.
"use strict";

const EVERY = 2000; // ms between looks at the store
const PENDING = 100; // the server itself waits a third of a second for what is being worked out
const SLOWEST = 16000;
const TYPING = 150;

let wait = EVERY;
let timer = 0;
let loading = null;

const main = () => document.getElementById("main");

// --- staying up to date -------------------------------------------------------------------------------------

async function look() {
  timer = 0;
  try {
    const shown = main();
    if (shown.hasAttribute("data-pending")) {
      await show(location.href);
    } else {
      const answer = await fetch(document.body.dataset.live, { cache: "no-store" });
      if (answer.status === 401) return location.reload();
      const { state } = await answer.json();
      const news = state && state !== shown.dataset.state;
      if (news && !inUse()) await show(location.href);
      // While a page lags behind a store that is written to, it is asked for less often.
      wait = news && main().dataset.state !== state ? Math.min(SLOWEST, wait * 1.5) : EVERY;
    }
    document.body.classList.remove("away");
  } catch {
    document.body.classList.add("away");
    wait = Math.min(SLOWEST, wait * 1.5);
  }
  plan();
}

function plan() {
  clearTimeout(timer);
  if (document.hidden || !document.body.dataset.live) return; // a login follows nothing, and is not to be hurried
  timer = setTimeout(look, main().hasAttribute("data-pending") ? PENDING : wait);
}

function inUse() {
  const selected = document.getSelection();
  const reading = selected && !selected.isCollapsed && main().contains(selected.anchorNode);
  return reading || (main().contains(document.activeElement) && document.activeElement.matches("input:not([type=checkbox]), select, textarea"));
}

async function show(address) {
  if (loading) loading.abort();
  loading = new AbortController();
  const answer = await fetch(address, { cache: "no-store", signal: loading.signal });
  const page = new DOMParser().parseFromString(await answer.text(), "text/html");
  const fresh = page.getElementById("main");
  if (!fresh) return location.assign(address);
  const old = main();
  const kept = remember(old);
  old.replaceWith(document.adoptNode(fresh));
  if (document.title !== page.title) document.title = page.title;
  restore(fresh, kept);
}

// What a reader has done to a page, so that a newer one can be put in its place unnoticed.
function remember(old) {
  const active = old.contains(document.activeElement) ? document.activeElement : null;
  return {
    scroll: [scrollX, scrollY],
    focus: active && (active.id ? `#${CSS.escape(active.id)}` : active.matches("a[href]") ? `a[href="${CSS.escape(active.getAttribute("href"))}"]` : null),
    open: [...old.querySelectorAll("details")].map((each) => each.open),
    boxes: [...old.querySelectorAll(".source")].map((each) => [each.scrollLeft, each.scrollTop]),
  };
}

function restore(fresh, kept) {
  const details = fresh.querySelectorAll("details");
  if (details.length === kept.open.length) details.forEach((each, at) => { each.open = kept.open[at]; });
  fresh.querySelectorAll(".source").forEach((each, at) => { if (kept.boxes[at]) each.scrollTo(...kept.boxes[at]); });
  if (kept.focus) fresh.querySelector(kept.focus)?.focus({ preventScroll: true });
  scrollTo(...kept.scroll);
}

document.addEventListener("visibilitychange", () => { wait = EVERY; plan(); });

// --- searching while typing ---------------------------------------------------------------------------------

let typing = 0;

document.addEventListener("input", (event) => {
  const field = event.target;
  if (!field.matches("[data-live-search]")) return;
  clearTimeout(typing);
  typing = setTimeout(async () => {
    const values = new URLSearchParams();
    for (const [name, value] of new FormData(field.form)) if (value) values.append(name, value);
    const query = String(values);
    const address = field.form.action.split("?")[0] + (query ? `?${query}` : "");
    history.replaceState(null, "", address);
    try {
      await show(address);
    } catch (error) {
      if (error.name !== "AbortError") document.body.classList.add("away");
    }
  }, TYPING);
});

// Enter opens the first thing found, where a search is for things to open.
document.addEventListener("keydown", async (event) => {
  const field = event.target;
  if (event.key !== "Enter" || !field.matches("[data-live-search]") || !main().querySelector("[data-results]")) return;
  event.preventDefault();
  const values = new URLSearchParams([...new FormData(field.form)].filter(([, value]) => value));
  clearTimeout(typing);
  try {
    await show(`${field.form.action.split("?")[0]}?${values}`);
  } catch {
    return;
  }
  main().querySelector("[data-results] a.row")?.click();
});

// --- keys ---------------------------------------------------------------------------------------------------

const keys = document.getElementById("keys");
const button = document.getElementById("keys-button");
button.hidden = false;
button.addEventListener("click", () => keys.showModal());

let prefix = 0;

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const inside = event.target.matches("input, select, textarea, [contenteditable]");
  if (event.key === "Escape" && inside) return event.target.blur();
  if (inside || keys.open) return;
  if (prefix && Date.now() - prefix < 1500) {
    prefix = 0;
    const page = [...document.querySelectorAll("[data-key]")].find((each) => each.dataset.key === event.key);
    if (page) {
      event.preventDefault();
      page.click();
    }
    return;
  }
  const act = { "/": search, j: () => step(1), k: () => step(-1), "?": () => keys.showModal(), g: () => { prefix = Date.now(); } }[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

function search() {
  const field = document.getElementById("search");
  if (field) {
    field.focus();
    field.select();
  }
}

function step(by) {
  const rows = [...main().querySelectorAll("a.row")];
  if (!rows.length) return;
  const at = rows.indexOf(document.activeElement);
  const next = at < 0 ? (by > 0 ? 0 : rows.length - 1) : Math.min(rows.length - 1, Math.max(0, at + by));
  rows[next].focus();
  rows[next].closest("tr, li")?.scrollIntoView({ block: "nearest" });
}

// On a narrow screen the list of pages can be scrolled: the open one is in sight.
const here = document.querySelector(".top nav [aria-current]");
if (here) {
  const list = here.closest("nav");
  list.scrollLeft += here.getBoundingClientRect().right - list.getBoundingClientRect().right + list.clientWidth / 4;
}

plan();
