// Keys. Single letters only where nobody types and no dialog is open; they can be switched off in the list of keys.
import { $, $$, say } from "./page.js";
import { help } from "./dialogs.js";
import { open } from "./palette.js";
import { pause } from "./live.js";
import { turn } from "./theme.js";
import { count } from "./select.js";

const OFF = "dray-keys-off";
const typing = (element) => element.matches?.("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]");
let led = 0; // when `g` was pressed

const rows = () => $$("tr[data-row]").filter((row) => row.offsetParent);
const at = () => document.activeElement?.closest?.("tr[data-row]");

function step(by) {
  const known = rows();
  if (!known.length) return;
  const now = known.indexOf(at());
  const next = known[Math.min(known.length - 1, Math.max(0, now < 0 ? (by > 0 ? 0 : known.length - 1) : now + by))];
  $("a", next)?.focus();
}

function press(key) {
  const button = $$(`[data-key="${key}"]`).find((one) => one.offsetParent || one.closest("[data-bulk]"));
  if (!button) return void say(`There is nothing on this page that ${key} does.`);
  const box = at() && $("input[data-pick]", at());
  if (button.closest("[data-bulk]") && box && !$$("input[data-pick]:checked").length) {
    box.checked = true;
    count();
  }
  if (button.disabled) return void say("Select jobs first: j and k move, x selects.");
  button.click();
}

const KEYS = {
  "/": () => $("#search").select(), "?": help, j: () => step(1), k: () => step(-1), p: pause, t: turn, r: () => press("r"),
  x: () => {
    const box = at() && $("input[data-pick]", at());
    if (!box) return;
    box.checked = !box.checked;
    count();
  },
};

document.addEventListener("keydown", (event) => {
  if ((event.ctrlKey || event.metaKey) && !event.altKey && event.key.toLowerCase() === "k") {
    event.preventDefault();
    open();
    return;
  }
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || $("dialog[open]")) return;
  if (localStorage.getItem(OFF) && event.key !== "?") return;
  if (Date.now() - led < 1500) {
    led = 0;
    const link = $(`[data-go="${CSS.escape(event.key)}"]`);
    if (link) {
      event.preventDefault();
      link.click();
      return;
    }
  }
  if (event.key === "g") led = Date.now();
  else if (KEYS[event.key]) {
    event.preventDefault();
    KEYS[event.key]();
  }
});

const box = document.getElementById("keys-on");
box.checked = !localStorage.getItem(OFF);
box.addEventListener("change", () => (box.checked ? localStorage.removeItem(OFF) : localStorage.setItem(OFF, "1")));
