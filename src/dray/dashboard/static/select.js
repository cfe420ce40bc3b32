// Selected rows, and what is to be done with them.
import { $, $$ } from "./page.js";

const boxes = () => $$("input[data-pick]");
const chosen = () => boxes().filter((box) => box.checked);
let last = null; // the box that was clicked last, for a range with shift

export function count() {
  const bar = $("[data-bulk]");
  if (!bar) return;
  const n = chosen().length, all = $("[data-matching]");
  const every = $("[data-every]");
  if (every) {
    every.checked = n > 0 && n === boxes().length;
    every.indeterminate = n > 0 && !every.checked;
  }
  $("[data-chosen]", bar).textContent = all?.checked ? "All that match" : n === 1 ? "1 job selected" : `${n.toLocaleString("en")} jobs selected`;
  bar.dataset.keepOpen = n > 0 || all?.checked ? "1" : "0";
  for (const button of $$("button[data-count]", bar)) button.disabled = !n && !all?.checked;
}

document.addEventListener("change", (event) => {
  const box = event.target;
  if (box.matches("[data-every]")) for (const one of boxes()) one.checked = box.checked;
  if (box.matches("[data-every], [data-pick], [data-matching]")) count();
});

document.addEventListener("click", (event) => {
  const box = event.target;
  if (!box.matches?.("input[data-pick]")) return;
  const known = boxes();
  if (event.shiftKey && last?.isConnected) {
    const [from, to] = [known.indexOf(last), known.indexOf(box)].sort((a, b) => a - b);
    for (const one of known.slice(from, to + 1)) one.checked = box.checked;
    count();
  }
  last = box;
});

document.addEventListener("dray:done", () => {
  for (const box of $$("input[data-pick], [data-matching]")) box.checked = false;
  count();
});
document.addEventListener("dray:page", count);
count();
