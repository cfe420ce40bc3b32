// Charts: drawn by uPlot over the picture that the server sent; new numbers come with the page in `data-chart`.
import { $$ } from "./page.js";
import { short } from "./times.js";

const drawn = new Map(); // by element: its chart, and what it shows
const root = document.documentElement;
const colour = (kind) => getComputedStyle(root).getPropertyValue(`--c-${kind}`).trim() || "gray";
const ink = (name) => getComputedStyle(root).getPropertyValue(name).trim();

let library = null;
function uPlot() {
  library ||= new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = `${document.body.dataset.static}/vendor/uPlot.iife.min.js`;
    script.addEventListener("load", () => resolve(window.uPlot));
    script.addEventListener("error", reject);
    document.head.append(script);
  });
  return library;
}

export function told(value, unit) {
  if (value == null) return "–";
  if (unit === "s") return value < 0.0995 ? `${(value * 1000).toFixed(value < 0.00995 ? 1 : 0)} ms` : value < 1 ? `${Math.round(value * 1000)} ms` : value < 60 ? `${value.toFixed(1)} s` : short(value);
  const number = value >= 100 || Number.isInteger(value) ? Math.round(value).toLocaleString("en") : value.toFixed(value < 1 ? 2 : 1);
  return unit ? `${number} ${unit}` : number;
}

function axis(value, unit) {
  if (unit === "s") return value === 0 ? "0" : told(value, unit).replace(".0 s", " s");
  return value >= 1e6 ? `${value / 1e6}M` : value >= 1e4 ? `${value / 1e3}k` : String(Math.round(value * 100) / 100);
}

const two = (n) => String(n).padStart(2, "0");
function clock(seconds, span) {
  const d = new Date(seconds * 1000), time = `${two(d.getHours())}:${two(d.getMinutes())}`;
  return span > 2 * 86400 ? `${d.getDate()} ${d.toLocaleString("en", { month: "short" })} ${span > 10 * 86400 ? "" : time}`.trim() : time;
}

function options(Plot, about, width) {
  const span = about.x.at(-1) - about.x[0];
  const line = { stroke: ink("--soft"), font: "12px system-ui, sans-serif", ticks: { show: false }, grid: { stroke: ink("--line"), width: 1 } };
  return {
    width, height: 160, padding: [8, 18, 0, 0], legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
    scales: { x: { time: true }, y: { range: (plot, low, high) => [0, high > 0 ? high * 1.08 : 1] } },
    axes: [
      { ...line, grid: { show: false }, size: 24, space: 60, values: (plot, at) => at.map((one) => clock(one, span)) },
      { ...line, size: 52, space: 32, values: (plot, at) => at.map((one) => axis(one, about.unit)) },
    ],
    series: [{}, ...about.series.map((one) => ({
      label: one.label, stroke: colour(one.kind), width: 1.6, dash: one.dash, spanGaps: false, points: { show: false },
      fill: one.fill ? `color-mix(in srgb, ${colour(one.kind)} 16%, transparent)` : undefined,
    }))],
    hooks: { setCursor: [(plot) => tip(plot, about, span)] },
  };
}

function tip(plot, about, span) {
  let box = plot.over.querySelector(".tip");
  const n = plot.cursor.idx;
  if (n == null) return void box?.remove();
  if (!box) {
    box = document.createElement("div");
    box.className = "tip";
    plot.over.append(box);
  }
  const lines = about.series.map((one) => {
    const line = document.createElement("div"), key = document.createElement("span"), value = document.createElement("b");
    key.className = `key k-${one.kind}`;
    key.textContent = `${one.label} `;
    value.textContent = told(one.values[n], about.unit);
    line.append(key, value);
    return line;
  });
  const when = document.createElement("div");
  when.textContent = clock(about.x[n], Math.max(span, 0));
  box.replaceChildren(when, ...lines);
  const left = plot.valToPos(about.x[n], "x");
  box.style.left = left > plot.over.clientWidth / 2 ? "auto" : `${left + 12}px`;
  box.style.right = left > plot.over.clientWidth / 2 ? `${plot.over.clientWidth - left + 12}px` : "auto";
}

async function draw(element) {
  const text = element.dataset.chart, known = drawn.get(element);
  if (known?.text === text) return;
  const about = JSON.parse(text);
  if (about.x.length < 2) return;
  const data = [about.x, ...about.series.map((one) => one.values)];
  const Plot = await uPlot().catch(() => null);
  if (!Plot) return;
  if (known && known.about.series.length === about.series.length && !known.stale) {
    Object.assign(known.about, about);
    known.text = text;
    known.plot.setData(data);
    return;
  }
  known?.plot.destroy();
  element.replaceChildren();
  const plot = new Plot(options(Plot, about, element.clientWidth), data, element);
  drawn.set(element, { text, about, plot, stale: false });
  watcher.observe(element);
}

const watcher = new ResizeObserver((entries) => {
  for (const { target } of entries) {
    const plot = drawn.get(target)?.plot;
    if (plot && target.clientWidth && plot.width !== target.clientWidth) plot.setSize({ width: target.clientWidth, height: 160 });
  }
});

function all() {
  for (const [element, { plot }] of drawn) {
    if (element.isConnected) continue;
    watcher.unobserve(element);
    plot.destroy();
    drawn.delete(element);
  }
  $$("[data-chart]").forEach(draw);
}

document.addEventListener("dray:page", all);
document.addEventListener("dray:theme", () => {
  for (const known of drawn.values()) {
    known.stale = true;
    known.text = "";
  }
  all();
});
all();
