// Why the forecast is what it is: terms in megawatts that sum to the median.

import { figure, ink } from "./chart.js";
import { empty, make, put, table } from "./elements.js";
import { ends, hourTicks } from "./hours.js";
import { clock, megawatts, number, plain, seconds, signed, span, step } from "./words.js";

const BASE = "typical";
const WORDS = {
  typical: ["Typical hour", "the mean hour of an ordinary week, all year long"],
  calendar: ["Hour and season", "by clock, weekday and season, as if the day were ordinary"],
  holiday: ["Holidays", "because the day or its neighbour is one"],
  temperature: ["Temperature", "by how it differs from its mean"],
  weather: ["Other weather", "wind, sun and the like"],
  recent_level: ["Recent days", "the load and the errors of the days before"],
  tso: ["Operator's forecast", "what the grid operator expects"],
  limit: ["Limits", "what the bounds of the model held back"],
};
const named = (term) => WORDS[term]?.[0] ?? plain(term);
const color = (term) => (term in WORDS ? `term-${term.replace("_", "-")}` : "muted");

export function showReasons({ zone, explanation }) {
  const { intervals, terms } = explanation;
  if (!intervals.length) {
    put("reasons-figure", empty("The model of this zone cannot say what its forecast is made of."));
    return;
  }
  const tz = zone.local_tz;
  const length = step(explanation.resolution);
  const starts = intervals.map((each) => seconds(each.valid_time));
  const moving = terms.filter((term) => term !== BASE);
  const base = (each) => each.terms_mw[BASE] ?? 0;
  const net = intervals.map((each) => each.forecast_mw - base(each));
  const highest = net.indexOf(Math.max(...net));
  const reach = [0, 1].map((side) => (side ? Math.max : Math.min)(...intervals.map((each) => piled(each, moving, side))));
  words({ explanation, moving, each: intervals[highest], when: span(starts[highest], length, tz) });
  const shown = make("div", { class: "steps" });
  put(
    "reasons-figure",
    figure({
      title: "MW above or below a typical hour",
      label: `What raises and lowers the forecast, interval by interval, against a typical hour of ${megawatts(base(intervals[0]))}: ${moving.map(named).join(", ")}. The table below has every figure.`,
      hint: "Bars are the terms; the line is what they add up to.",
      height: 340,
      legend: [...moving.map((term) => ({ name: named(term), kind: "area", color: color(term) })), { name: "sum", kind: "line", color: "ink" }],
      x: starts.map((start) => start + length / 2),
      range: ends({ starts, length }),
      ticks: hourTicks({ starts, length }, tz),
      low: reach[0],
      high: reach[1],
      lines: [{ name: "sum", values: net, color: "ink", width: 2 }],
      under: (plot, ctx) => bars({ plot, ctx, intervals, starts, length, moving }),
      say: (index) =>
        [span(starts[index], length, tz), `sum ${signed(net[index])}`, ...moving.filter((term) => Math.round(intervals[index].terms_mw[term])).map((term) => `${named(term).toLowerCase()} ${signed(intervals[index].terms_mw[term])}`)].join(" · ") + " MW",
      table: table({
        caption: `Terms of the median forecast, MW, clocks of ${tz}`,
        head: ["Interval", "Forecast", ...terms.map(named)],
        rows: intervals.map((each, row) => [span(starts[row], length, tz), number(each.forecast_mw), ...terms.map((term) => (term === BASE ? number : signed)(each.terms_mw[term]))]),
      }),
    }),
    chooser({ intervals, starts, length, tz, highest, show: (row) => shown.replaceChildren(steps(intervals[row], moving)) }),
    shown,
  );
}

/** How far the terms of one sign pile up. */
const piled = (each, moving, up) => moving.map((term) => each.terms_mw[term]).filter((value) => (up ? value > 0 : value < 0)).reduce((sum, value) => sum + value, 0);

function bars({ plot, ctx, intervals, starts, length, moving }) {
  const y = (value) => plot.valToPos(value, "y", true);
  for (const [row, each] of intervals.entries()) {
    const left = plot.valToPos(starts[row] + length * 0.12, "x", true);
    const width = plot.valToPos(starts[row] + length * 0.88, "x", true) - left;
    const tops = [0, 0];
    for (const term of moving) {
      const value = each.terms_mw[term];
      const side = Number(value > 0);
      ctx.fillStyle = colors(term);
      ctx.fillRect(left, y(tops[side]), width, y(tops[side] + value) - y(tops[side]));
      tops[side] += value;
    }
  }
  ctx.fillStyle = ink("ink");
  ctx.fillRect(plot.bbox.left, Math.round(y(0)), plot.bbox.width, devicePixelRatio);
}

const colors = (term) => ink(color(term));

function words({ explanation, moving, each, when }) {
  const most = moving.map((term) => [term, each.terms_mw[term]]).sort((one, other) => Math.abs(other[1]) - Math.abs(one[1]));
  const [first, second] = most;
  put(
    "reasons-words",
    make("p", { class: "finding" }, `${named(first[0])} moves the forecast most: ${signed(first[1])}\u202fMW at ${when}.`),
    second && Math.round(second[1]) ? make("p", {}, `Then ${named(second[0]).toLowerCase()}, ${signed(second[1])}\u202fMW.`) : "",
    make("p", {}, "The terms add up to the median, megawatt by megawatt, without a remainder."),
    make("details", { class: "figures" }, make("summary", {}, "What the terms mean"), make("dl", { class: "meanings" }, explanation.terms.map((term) => make("div", {}, make("dt", {}, named(term)), make("dd", {}, WORDS[term]?.[1] ?? ""))))),
  );
}

function chooser({ intervals, starts, length, tz, highest, show }) {
  const said = make("output", { for: "reasons-hour" });
  const slider = make("input", { type: "range", id: "reasons-hour", min: 0, max: intervals.length - 1, step: 1, value: highest });
  const choose = () => {
    const row = Number(slider.value);
    const text = span(starts[row], length, tz);
    said.textContent = text;
    slider.setAttribute("aria-valuetext", `${text}, ${megawatts(intervals[row].forecast_mw)}`);
    show(row);
  };
  slider.addEventListener("input", choose);
  choose();
  return make("div", { class: "chooser" }, make("label", { for: "reasons-hour" }, "Add up the interval"), said, slider, make("span", { class: "ends", "aria-hidden": "true" }, make("i", {}, clock(starts[0], tz)), make("i", {}, clock(starts.at(-1) + length, tz))));
}

/** One interval as a staircase from the typical hour to the forecast. */
function steps(each, moving) {
  const base = each.terms_mw[BASE] ?? 0;
  const rows = [[named(BASE), 0, base, number(base), "term-typical"]];
  let at = base;
  for (const term of moving) {
    const value = each.terms_mw[term];
    rows.push([named(term), Math.min(at, at + value), Math.max(at, at + value), signed(value), color(term)]);
    at += value;
  }
  rows.push(["Forecast", 0, each.forecast_mw, megawatts(each.forecast_mw), "forecast"]);
  const most = Math.max(...rows.map((row) => row[2]));
  return make("ol", {}, rows.map(([name, from, to, text, shade]) => {
    const bar = make("span", { class: "bar", "aria-hidden": "true" });
    bar.hidden = Math.round(to - from) === 0;
    bar.style.setProperty("--from", from / most);
    bar.style.setProperty("--to", to / most);
    bar.style.setProperty("--shade", `var(--${shade})`);
    return make("li", {}, make("span", { class: "name" }, name), make("span", { class: "track" }, bar), make("span", { class: "value" }, text));
  }));
}
