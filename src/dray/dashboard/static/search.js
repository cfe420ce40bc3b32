// The search box: suggestions while one types, and named views that are kept in this browser.
import { $, $$, say } from "./page.js";

const input = document.getElementById("search");
let list = null, choice = -1, asked = 0, timer = 0;

input.setAttribute("role", "combobox");
input.setAttribute("aria-autocomplete", "list");
input.setAttribute("aria-expanded", "false");

function close() {
  list?.remove();
  list = null;
  choice = -1;
  input.setAttribute("aria-expanded", "false");
  input.removeAttribute("aria-activedescendant");
  input.removeAttribute("aria-controls");
}

function choose(n) {
  const rows = $$("li", list);
  choice = (n + rows.length) % rows.length;
  rows.forEach((row, m) => row.setAttribute("aria-selected", String(m === choice)));
  rows[choice].scrollIntoView({ block: "nearest" });
  input.setAttribute("aria-activedescendant", rows[choice].id);
}

function accept(row) {
  input.value = row.dataset.text;
  const end = input.value.length;
  input.setSelectionRange(end, end);
  close();
  if (input.value.endsWith(":")) ask();
}

function show(found) {
  close();
  if (!found.length || document.activeElement !== input) return;
  list = document.createElement("ul");
  list.id = "suggest";
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", "Suggestions");
  found.slice(0, 12).forEach((one, n) => {
    const row = document.createElement("li"), code = document.createElement("code"), label = document.createElement("span");
    row.id = `suggest-${n}`;
    row.setAttribute("role", "option");
    row.setAttribute("aria-selected", "false");
    row.dataset.text = one.text;
    code.textContent = one.shown;
    label.textContent = one.label;
    row.append(code, label);
    list.append(row);
  });
  input.after(list);
  input.setAttribute("aria-expanded", "true");
  input.setAttribute("aria-controls", "suggest");
}

async function ask() {
  const mine = ++asked;
  const query = new URLSearchParams({ text: input.value, cursor: input.selectionStart });
  const answer = await fetch(`${input.dataset.complete}?${query}`).catch(() => null);
  if (mine === asked && answer?.ok) show(await answer.json());
}

input.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(ask, 120);
});
input.addEventListener("focus", () => { if (!input.value) timer = setTimeout(ask, 60); });
input.addEventListener("blur", () => setTimeout(close, 150));
input.addEventListener("keydown", (event) => {
  if (event.key === "Escape") {
    if (list) close();
    else input.blur();
    asked++;
    event.stopPropagation();
  } else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    if (!list) return void ask();
    event.preventDefault();
    choose(choice + (event.key === "ArrowDown" ? 1 : choice < 0 ? 0 : -1));
  } else if ((event.key === "Enter" || event.key === "Tab") && list && choice >= 0) {
    event.preventDefault();
    accept($$("li", list)[choice]);
  }
});
document.addEventListener("mousedown", (event) => {
  const row = event.target.closest("#suggest li");
  if (!row) return;
  event.preventDefault();
  accept(row);
});

// -- views: a name for a search, kept here

const KEY = "dray-views";
const views = () => { try { return JSON.parse(localStorage.getItem(KEY)) || {}; } catch { return {}; } };

export function named() { return Object.entries(views()); }

function draw() {
  const place = $("[data-views]");
  if (!place) return;
  place.replaceChildren(...named().map(([name, query]) => {
    const item = document.createElement("span"), link = document.createElement("a"), drop = document.createElement("button");
    item.className = "view";
    link.href = `${place.dataset.views}?${query}`;
    link.textContent = name;
    if (query === location.search.slice(1)) link.setAttribute("aria-current", "true");
    drop.type = "button";
    drop.dataset.drop = name;
    drop.setAttribute("aria-label", `Forget the view ${name}`);
    drop.textContent = "×";
    item.append(link, drop);
    return item;
  }));
}

document.addEventListener("click", (event) => {
  const drop = event.target.closest("[data-drop]");
  if (drop) {
    const known = views();
    delete known[drop.dataset.drop];
    localStorage.setItem(KEY, JSON.stringify(known));
    draw();
  }
});
document.addEventListener("submit", (event) => {
  if (!event.target.matches("[data-save-view]")) return;
  event.preventDefault();
  const name = new FormData(event.target).get("name").trim();
  if (!name) return;
  localStorage.setItem(KEY, JSON.stringify({ ...views(), [name]: location.search.slice(1) }));
  event.target.reset();
  event.target.closest("details")?.removeAttribute("open");
  say(`View “${name}” is kept in this browser.`);
  draw();
});
document.addEventListener("dray:page", draw);
draw();
