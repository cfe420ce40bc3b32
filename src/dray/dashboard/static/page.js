// What the other modules share: where things are, saying something, and putting a page's new content in the place of the old.
import { localise } from "./times.js";

export const base = document.body.dataset.base;
export const $ = (selector, root = document) => root.querySelector(selector);
export const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
export const page = () => document.getElementById("page");

// Said to everybody: shown for a while, and read out.
export function say(text, kind = "") {
  const line = document.createElement("p");
  line.className = kind;
  line.textContent = text;
  const says = document.getElementById("says");
  if (says.lastChild?.textContent === text) says.lastChild.remove();
  says.append(line);
  setTimeout(() => line.remove(), kind === "bad" ? 12000 : 5000);
}

// New content is made local before it is compared with the old, so that what is the same stays untouched.
document.addEventListener("htmx:before:swap", (event) => {
  for (const task of event.detail.tasks) localise(task.fragment);
});

// Focus, selected rows, open details and the scroll position stay, because what is the same is not replaced.
export async function morph(text) {
  await window.htmx.swap({ text, target: "#page", swap: "outerMorph", select: "#page", sourceElement: page() });
  for (const button of $$("button[hidden]", page())) button.hidden = false;
  document.dispatchEvent(new Event("dray:page"));
}

// The sentence of a problem page that came instead of what was wanted.
export function problemIn(text) {
  const parsed = new DOMParser().parseFromString(text, "text/html");
  return parsed.querySelector(".problem p")?.textContent.trim() || text.slice(0, 300);
}
