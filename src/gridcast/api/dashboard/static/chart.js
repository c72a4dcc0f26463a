// One way to draw: uPlot in the page's colours, with a line that says what stands under the pointer or the arrow keys.

import { make } from "./elements.js";
import { number } from "./words.js";

const { uPlot } = globalThis;
/** What an untouched chart says of itself. */
export const HINT = matchMedia("(hover: none)").matches ? "Touch the chart to read an interval." : "Point at the chart, or use the arrow keys, to read an interval.";
const FONT = '13px "Source Sans 3", system-ui, sans-serif';
const drawn = new Map();

/** A colour of the style sheet as the canvas understands it, in the theme of the moment. */
export function ink(name) {
  const probe = make("i", { hidden: true });
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const color = getComputedStyle(probe).color;
  probe.remove();
  return color;
}

/**
 * A figure with its chart, legend, readout and table.
 *
 * lines: [{name, values, color, width, dash, hidden}]; bands: [{high, low, color}] by the lines' names;
 * ticks(width): [{at, text}]; say(index): what the readout says; under(plot), over(plot): more to draw.
 */
export function figure({ title, label, legend, hint = HINT, table, height = 380, ...spec }) {
  const readout = make("p", { class: "readout", "aria-live": "polite" }, hint);
  const host = make("div", { class: "plot", role: "group", tabindex: "0", "aria-roledescription": "chart", "aria-label": label });
  host.style.setProperty("--height", `${height}px`);
  const made = make(
    "figure",
    {},
    make("figcaption", {}, make("p", { class: "figure-title" }, title), legend ? make("ul", { class: "legend" }, legend.map(entry)) : null),
    readout,
    host,
    table ?? null,
  );
  drawn.set(host, { ...spec, say: (index) => (readout.textContent = index === null ? hint : spec.say(index)) });
  sizes.observe(host);
  listen(host, spec.x);
  return made;
}

const entry = ({ name, kind, color }) => {
  const swatch = make("span", { class: `swatch ${kind}`, "aria-hidden": "true" });
  swatch.style.setProperty("--swatch", `var(--${color})`);
  return make("li", {}, swatch, name);
};

const sizes = new ResizeObserver((entries) => {
  for (const { target } of entries) draw(target);
});

function draw(host) {
  const spec = drawn.get(host);
  if (!spec || !host.isConnected) {
    forget(host);
    return;
  }
  const width = Math.floor(host.clientWidth);
  if (!width || (spec.width === width && spec.plot)) return;
  spec.plot?.destroy();
  Object.assign(spec, { width, plot: new uPlot(options(spec, { width, height: host.clientHeight }), [spec.x, ...spec.lines.map((line) => line.values)], host) });
}

function forget(host) {
  sizes.unobserve(host);
  drawn.get(host)?.plot?.destroy();
  drawn.delete(host);
}

function redrawAll() {
  for (const [host, spec] of drawn) {
    spec.width = 0;
    draw(host);
  }
}

document.addEventListener("themechange", redrawAll);
document.fonts.ready.then(redrawAll);

function options({ lines, bands = [], ticks, range, x, low, high, say, under, over }, { width, height }) {
  const place = new Map(lines.map((line, number) => [line.name, number + 1]));
  const grid = { stroke: ink("grid"), width: 1 };
  const marks = ticks(width);
  return {
    width,
    height,
    legend: { show: false },
    padding: [12, 22, 0, 0],
    scales: { x: { time: false, range: () => range ?? [x[0], x.at(-1)] }, y: { range: (plot, least, most) => scale(least, most, low, high) } },
    series: [{}, ...lines.map((line) => series(line))],
    bands: bands.map((band) => ({ series: [place.get(band.high), place.get(band.low)], fill: ink(band.color) })),
    axes: [
      {
        font: FONT, stroke: ink("muted"), grid: { ...grid, show: false }, ticks: { show: true, size: 5, stroke: ink("rule-strong"), width: 1 }, size: 46, gap: 4,
        splits: () => marks.map((mark) => mark.at), values: () => marks.map((mark) => mark.text),
      },
      { font: FONT, stroke: ink("muted"), grid, ticks: { show: false }, size: width < 560 ? 44 : 54, gap: 6, space: width < 560 ? 40 : 56, values: (plot, splits) => splits.map((value) => number(value)) },
    ],
    cursor: { y: false, drag: { x: false, y: false }, points: { show: false } },
    hooks: {
      setCursor: [(plot) => say(plot.cursor.idx ?? null)],
      drawAxes: under ? [(plot) => painted(plot, under)] : [],
      draw: over ? [(plot) => painted(plot, over)] : [],
    },
  };
}

function series({ color, width = 2, dash, hidden }) {
  if (hidden) return { show: true, stroke: "transparent", width: 0, points: { show: false } };
  return { stroke: ink(color), width, dash: dash?.map((part) => part * devicePixelRatio), cap: dash ? "butt" : "round", spanGaps: false, points: { show: true, filter: alone, size: width * 3, width: 0, fill: ink(color) } };
}

/** The values between two gaps: a line has no length there, so they are drawn as dots. */
function alone(plot, row) {
  const values = plot.data[row];
  return values.flatMap((value, at) => (value !== null && (values[at - 1] ?? null) === null && (values[at + 1] ?? null) === null ? [at] : []));
}

const scale = (least, most, low, high) => {
  const from = Math.min(least ?? 0, low ?? Infinity);
  const to = Math.max(most ?? 1, high ?? -Infinity);
  const room = (to - from || 1) * 0.06;
  return [low === 0 && from === 0 ? 0 : from - room, to + room];
};

function painted(plot, paint) {
  const { ctx, bbox } = plot;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  paint(plot, ctx, devicePixelRatio);
  ctx.restore();
}

/** Text on the canvas, in CSS pixels beside a point of the data. */
export function note(plot, text, { x, y, dx = 0, dy = 0, align = "left", color = "ink", bold = false }) {
  const { ctx } = plot;
  const ratio = devicePixelRatio;
  ctx.font = `${bold ? 600 : 400} ${13 * ratio}px "Source Sans 3", system-ui, sans-serif`;
  ctx.textAlign = align;
  ctx.textBaseline = "middle";
  ctx.lineWidth = 4 * ratio;
  ctx.lineJoin = "round";
  ctx.strokeStyle = ink("paper");
  ctx.fillStyle = ink(color);
  const place = [plot.valToPos(x, "x", true) + dx * ratio, plot.valToPos(y, "y", true) + dy * ratio];
  ctx.strokeText(text, ...place);
  ctx.fillText(text, ...place);
}

/** Arrow keys and a finger move the cursor as a mouse does. */
function listen(host, x) {
  const move = (index) => {
    const { plot } = drawn.get(host) ?? {};
    if (plot) plot.setCursor({ left: plot.valToPos(x[Math.max(0, Math.min(x.length - 1, index))], "x"), top: plot.bbox.height / 2 / devicePixelRatio });
  };
  const away = () => drawn.get(host)?.plot?.setCursor({ left: -10, top: -10 });
  host.addEventListener("keydown", (event) => {
    const { plot } = drawn.get(host) ?? {};
    const now = plot?.cursor.idx;
    const steps = { ArrowRight: (now ?? -1) + 1, ArrowLeft: (now ?? x.length) - 1, Home: 0, End: x.length - 1 };
    if (event.key === "Escape") away();
    else if (event.key in steps) {
      event.preventDefault();
      move(steps[event.key]);
    }
  });
  host.addEventListener("blur", away);
  host.addEventListener("pointermove", (event) => {
    const { plot } = drawn.get(host) ?? {};
    if (!plot || event.pointerType === "mouse") return;
    plot.setCursor({ left: event.clientX - plot.over.getBoundingClientRect().left, top: 1 });
  });
}
