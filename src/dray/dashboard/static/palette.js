// The command palette: pages, queues, tasks, and what can be done on this page.
import { $, $$, base } from "./page.js";
import { named } from "./search.js";
import { help } from "./dialogs.js";
import { pause } from "./live.js";
import { turn } from "./theme.js";

const dialog = document.getElementById("palette"), input = document.getElementById("palette-input"), list = document.getElementById("palette-list");
let known = [], shown = [], choice = 0;

function here() {
  const pages = $$(".rail li a").map((a) => ({ label: $("span", a).textContent, kind: "page", go: a.href }));
  const actions = $$("#page .act button, #page .tools a.button").filter((one) => one.offsetParent && !one.disabled)
    .map((one) => ({ label: one.textContent.trim(), kind: "on this page", run: () => one.click() }));
  const own = [
    { label: "Pause or resume live updates", kind: "p", run: pause }, { label: "Change the theme", kind: "t", run: turn },
    { label: "Show the keys", kind: "?", run: help },
  ];
  const views = named().map(([label, query]) => ({ label, kind: "view", go: `${base}/jobs?${query}` }));
  return [...actions, ...pages, ...views, ...own];
}

// How well a label answers what was typed: letters in order, better at the beginnings of words; 0 is not at all.
function fits(typed, label) {
  const low = label.toLowerCase();
  let score = 1, at = -1;
  for (const letter of typed.toLowerCase().replace(/\s+/g, "")) {
    const next = low.indexOf(letter, at + 1);
    if (next < 0) return 0;
    score += next === at + 1 ? 4 : /[\s._-]/.test(low[next - 1] || " ") ? 3 : 0;
    at = next;
  }
  return score + (low.startsWith(typed.toLowerCase()) ? 20 : 0) - low.length / 100;
}

function draw() {
  const typed = input.value.trim();
  shown = known.map((one) => [fits(typed, one.label), one]).filter(([score]) => score > 0)
    .sort((a, b) => (typed ? b[0] - a[0] : 0)).slice(0, 40).map(([, one]) => one);
  if (typed) shown.push({ label: `Search jobs: ${typed}`, kind: "search", go: `${base}/jobs?q=${encodeURIComponent(typed)}` });
  list.replaceChildren(...shown.map((one, n) => {
    const row = document.createElement("li"), kind = document.createElement("span");
    row.id = `command-${n}`;
    row.setAttribute("role", "option");
    row.textContent = one.label;
    kind.className = "kind";
    kind.textContent = one.kind;
    row.append(kind);
    row.addEventListener("click", () => run(one));
    return row;
  }));
  choose(0);
}

function choose(n) {
  if (!shown.length) return;
  choice = (n + shown.length) % shown.length;
  [...list.children].forEach((row, m) => row.setAttribute("aria-selected", String(m === choice)));
  list.children[choice].scrollIntoView({ block: "nearest" });
  input.setAttribute("aria-activedescendant", `command-${choice}`);
}

function run(one) {
  dialog.close();
  if (one.go) location.assign(one.go);
  else one.run();
}

export async function open() {
  if (dialog.open) return;
  known = here();
  input.value = "";
  dialog.showModal();
  draw();
  const answer = await fetch(`${base}/palette`).catch(() => null);
  if (!answer?.ok || !dialog.open) return;
  known = [...known, ...(await answer.json())];
  draw();
}

input.addEventListener("input", draw);
input.addEventListener("keydown", (event) => {
  if (event.key === "ArrowDown" || event.key === "ArrowUp") {
    event.preventDefault();
    choose(choice + (event.key === "ArrowDown" ? 1 : -1));
  } else if (event.key === "Enter") {
    event.preventDefault();
    if (shown[choice]) run(shown[choice]);
  }
});
document.getElementById("command").addEventListener("click", open);
