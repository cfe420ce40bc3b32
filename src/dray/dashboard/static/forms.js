// Buttons that act: asked about in a dialog, sent without leaving the page; the page then fetches itself.
import { base, problemIn, say } from "./page.js";
import { sure } from "./dialogs.js";
import { refresh } from "./live.js";

async function question(button, form) {
  const count = button.dataset.count ? await counted(button, form) : null;
  if (count === undefined) return null;
  const fill = (text) => (text || "").replace("{n}", count?.text ?? "");
  return [fill(button.dataset.confirm), fill(button.dataset.detail), fill(button.dataset.word) || button.textContent.trim(), button.matches(".danger")];
}

// How many jobs are meant: asked for before anything is done. {text: "3 jobs", n: 3}, undefined if it cannot be told.
async function counted(button, form) {
  const fields = new URLSearchParams(new FormData(form, button));
  const answer = await fetch(button.dataset.count, { method: "POST", body: fields, headers: { "Dray-Live": "1" } }).catch(() => null);
  if (answer?.ok) return answer.json();
  say(answer ? problemIn(await answer.text()) : "The dashboard does not answer.", "bad");
  return undefined;
}

document.addEventListener("submit", async (event) => {
  const form = event.target, button = event.submitter;
  if (!form.matches("[data-enhance]") || !button) return;
  event.preventDefault();
  const fields = new URLSearchParams(new FormData(form, button));
  if (button.dataset.confirm) {
    const asked = await question(button, form);
    if (!asked || !(await sure(...asked))) return;
    fields.set("sure", "1");
  }
  button.disabled = true;
  try {
    const answer = await fetch(button.getAttribute("formaction") || form.getAttribute("action"), { method: "POST", body: fields, headers: { "Dray-Live": "1" } });
    const kind = answer.headers.get("content-type") || "";
    if (!answer.ok || !kind.startsWith("application/json")) {
      say(problemIn(await answer.text()), "bad");
      return;
    }
    follow(await answer.json(), form);
  } catch {
    say("The dashboard does not answer; nothing was done, or nobody can tell. Look before you try again.", "bad");
  } finally {
    button.disabled = false;
  }
});

function follow({ go, note }, form) {
  if (go === location.pathname + location.search) {
    if (note) say(note);
    form.dispatchEvent(new Event("dray:done", { bubbles: true }));
    refresh(true);
    return;
  }
  if (note) document.cookie = `dray_note=${encodeURIComponent(note)}; path=${base || "/"}; max-age=60; samesite=lax`;
  location.assign(go);
}
