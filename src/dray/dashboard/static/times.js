// Times: the server gives them in UTC; here they become local, or a distance from now, with UTC on hover.
let ahead = 0; // milliseconds by which the server's clock is ahead of this one, if it is more than a few seconds

export function hear(date) {
  const difference = Date.parse(date) - Date.now();
  if (Math.abs(difference) > 4000) ahead = difference;
}

const two = (n) => String(n).padStart(2, "0");
const day = (d) => `${d.getFullYear()}-${two(d.getMonth() + 1)}-${two(d.getDate())}`;
const clock = (d) => `${two(d.getHours())}:${two(d.getMinutes())}:${two(d.getSeconds())}`;

export function short(seconds) {
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "m"]]) {
    if (seconds >= size * 3) return `${Math.round(seconds / size)}${unit}`;
    if (seconds >= size) {
      const whole = Math.floor(seconds / size), rest = Math.floor((seconds % size) / (size === 86400 ? 3600 : size / 60));
      return rest ? `${whole}${unit} ${rest}${{ d: "h", h: "m", m: "s" }[unit]}` : `${whole}${unit}`;
    }
  }
  return `${Math.max(0, Math.round(seconds))}s`;
}

function ago(at, now) {
  const seconds = (now - at) / 1000;
  if (Math.abs(seconds) < 1) return "now";
  return seconds > 0 ? `${short(seconds)} ago` : `in ${short(-seconds)}`;
}

function told(at, kind) {
  const now = new Date(Date.now() + ahead);
  if (kind === "ago") return ago(at, now);
  if (kind === "for") return short(Math.max(0, (now - at) / 1000));
  const text = day(at) === day(now) ? clock(at) : `${day(at)} ${clock(at)}`;
  return kind === "both" ? `${text} (${ago(at, now)})` : text;
}

export function localise(root) {
  for (const element of root.querySelectorAll("time[data-t]")) {
    const at = new Date(element.dateTime);
    if (Number.isNaN(at.getTime())) continue;
    const text = told(at, element.dataset.t);
    if (element.textContent !== text) element.textContent = text;
    const title = `${element.dateTime.replace("T", " ").replace(/(\.\d+)?Z$/, " UTC")} · here ${day(at)} ${clock(at)}`;
    if (element.title !== title) element.title = title;
  }
}

localise(document);
setInterval(() => document.hidden || localise(document), 1000);
