// Questions before something is destroyed, the list of keys, and copying.
import { $, say } from "./page.js";

// Resolves to whether the answer was yes.
export function sure(question, detail, word, danger) {
  const dialog = document.getElementById("ask");
  $("#ask-title").textContent = question;
  $("#ask-detail").textContent = detail || "";
  $("#ask-detail").hidden = !detail;
  $("#ask-yes").textContent = word || "Do it";
  $("#ask-yes").className = danger ? "button danger" : "button first";
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

export const help = () => document.getElementById("help").showModal();
document.getElementById("keys").addEventListener("click", help);

document.addEventListener("click", async (event) => {
  if (event.target.tagName === "DIALOG") event.target.close(); // the backdrop
  const button = event.target.closest("[data-copy]");
  if (!button) return;
  try {
    await navigator.clipboard.writeText(button.dataset.copy);
    say("Copied.");
  } catch {
    const code = button.parentElement.querySelector("code");
    if (code) getSelection().selectAllChildren(code);
    say("Select it and copy it by hand: the browser gives the clipboard to secure pages only.");
  }
});
