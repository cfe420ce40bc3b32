// Light, dark, or as the system has it. Kept in a cookie, so that the server sends the page in the right one at once.
import { base, say } from "./page.js";

const ORDER = ["auto", "light", "dark"];

export function turn() {
  const next = ORDER[(ORDER.indexOf(document.documentElement.dataset.theme) + 1) % ORDER.length];
  document.documentElement.dataset.theme = next;
  document.cookie = `dray_theme=${next}; path=${base || "/"}; max-age=31536000; samesite=lax`;
  say(`Theme: ${next === "auto" ? "as the system" : next}`);
  document.dispatchEvent(new Event("dray:theme"));
}

document.getElementById("theme").addEventListener("click", turn);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => document.dispatchEvent(new Event("dray:theme")));
