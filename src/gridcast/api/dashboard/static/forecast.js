// The first thing to see: the day's peak and its hour, the band, the issue time, and the fan.

import { hasKey, save } from "./answers.js";
import { figure, ink, note } from "./chart.js";
import { empty, facts, make, put, table } from "./elements.js";
import { axis, ends, hourTicks, measured, quantile, some } from "./hours.js";
import { called, clock, day, dayInWords, known, megawatts, moment, number, percent, seconds, shifted, span } from "./words.js";

export const FAN = [["0.025", "0.975", "band-95"], ["0.1", "0.9", "band-80"], ["0.25", "0.75", "band-50"]];
const HISTORY = { wide: 24, narrow: 12 }; // hours before the fan: what was measured, and forecast for them

/** The delivery day that a forecast is of, on the market's clock. */
export const deliveryDay = (document, zone) => day(axis(document).centres[0], zone.market_tz);

export function showForecast({ zone, forecast, load, earlier }) {
  const date = deliveryDay(forecast, zone);
  const word = called(date, zone.market_tz);
  const inWords = dayInWords(date, { year: "numeric" });
  put("kicker", word ? make("b", {}, word) : "", word ? ` · ${inWords}` : inWords);
  put("headline", zone.name, make("span", { class: "code" }, zone.zone));
  document.title = `${zone.name}, ${word ? word.toLowerCase() : inWords} · gridcast`;
  const peak = outlook(forecast, zone);
  put("facts", forecast.degraded ? degraded(forecast.degraded, hope({ zone, forecast, date })) : "", headFacts({ zone, forecast, peak }));
  put("fan", fan({ zone, forecast, load, earlier, peak, date }));
  put("downloads", downloads({ zone, date }));
  return `${zone.name}, ${word} ${inWords}: peak ${megawatts(peak.value)}, ${peak.hours}, issued ${moment(seconds(forecast.issue_time), zone.local_tz)}.`;
}

const badge = () => make("span", { class: "badge", title: "Generated: it resembles real load, but nobody measured it." }, "Synthetic data");

export const degraded = (why, more = "") =>
  make("p", { class: "degraded", role: "note" }, make("b", {}, "Degraded forecast: "), `${why}${more}.`);

/** When the demo's missing weather comes, as long as it is still to come. */
function hope({ zone, forecast, date }) {
  const waits = zone.synthetic && forecast.degraded.includes("weather is missing") && Date.now() < Date.parse(`${shifted(date, -1)}T07:00Z`);
  return waits ? "; the demo's weather of tomorrow is public from 07:00\u202fUTC, and the forecast is made anew then" : "";
}

/** The day's peak: from the day's own quantiles where the model gives them, else the highest interval. */
function outlook(forecast, zone) {
  const { starts, length } = axis(forecast);
  const start = seconds(forecast.peak.valid_time);
  const interval = forecast.intervals[starts.indexOf(start)];
  const dot = { at: start + length / 2, value: forecast.peak.value, top: interval.quantiles["0.975"] ?? forecast.peak.value };
  if (!forecast.day) {
    const { 0.1: low, 0.5: value, 0.9: high } = interval.quantiles;
    return { value, low, high, dot, hours: span(start, length, zone.local_tz), odds: "where the median is highest" };
  }
  const { peak_mw: peak, peak_hour: hour, energy_mwh: energy } = forecast.day;
  const next = Object.entries(hour.by_hour).filter(([name]) => name !== hour.local).sort((one, other) => other[1] - one[1])[0];
  return {
    value: peak["0.5"], low: peak["0.1"], high: peak["0.9"], dot, energy,
    hours: hourSpan(hour.local),
    odds: `${percent(hour.probability * 100)} likely` + (next && next[1] >= 0.05 ? `; ${hourSpan(next[0])} ${percent(next[1] * 100)}` : ""),
  };
}

const hourSpan = (from) => `${from}–${String((Number(from.slice(0, 2)) + 1) % 24).padStart(2, "0")}:00`;

function headFacts({ zone, forecast, peak }) {
  const energy = peak.energy;
  return facts({
    Peak: [
      make("span", { class: "huge" }, number(peak.value), make("span", { class: "unit" }, "MW")),
      make("small", {}, `80\u202f% band ${number(peak.low)} to ${megawatts(peak.high)}`),
    ],
    "Peak hour": [make("span", { class: "large" }, peak.hours), make("small", {}, peak.odds)],
    ...(energy
      ? {
          Energy: [
            make("span", { class: "large" }, number(energy["0.5"] / 1000, 1), make("span", { class: "unit" }, "GWh")),
            make("small", {}, `80\u202f% band ${number(energy["0.1"] / 1000, 1)} to ${number(energy["0.9"] / 1000, 1)}\u202fGWh`),
          ],
        }
      : {}),
    Issued: [
      make("time", { class: "large", datetime: forecast.issue_time }, moment(seconds(forecast.issue_time), zone.local_tz)),
      make("small", {}, `clocks of ${zone.local_tz.replaceAll("_", " ")}`),
    ],
  }, { class: "headfacts" });
}

/** The starts of the intervals before the fan, where enough is known of them to show it. */
function lately(own, { load, medians }) {
  const hours = HISTORY[matchMedia("(max-width: 700px)").matches ? "narrow" : "wide"];
  const starts = Array.from({ length: (hours * 3600) / own.length }, (_, back) => own.starts[0] - (back + 1) * own.length).reverse();
  const seen = (load ? measured(load, "load", { starts, length: own.length }) : []).filter(known).length;
  return starts.some((start) => medians.has(start)) || seen * own.length >= 3 * 3600 ? starts : [];
}

function fan({ zone, forecast, load, earlier, peak, date }) {
  const tz = zone.local_tz;
  const own = axis(forecast);
  const medians = new Map(earlier?.intervals.map((each) => [seconds(each.valid_time), each.quantiles["0.5"]]));
  const before = lately(own, { load, medians });
  const whole = { length: own.length, starts: [...before, ...own.starts] };
  whole.centres = whole.starts.map((start) => start + own.length / 2);
  const padded = (values) => [...before.map(() => null), ...values];
  const actual = load ? measured(load, "load", whole) : whole.starts.map(() => null);
  const operator = load ? measured(load, "tso", own) : [];
  const hasOperator = some(operator);
  const median = quantile(forecast, "0.5");
  const previous = whole.starts.map((start, row) => (row < before.length ? (medians.get(start) ?? null) : null));
  const issued = seconds(forecast.issue_time);
  const bands = FAN.filter(([low, high]) => [low, high].every((name) => known(forecast.intervals[0].quantiles[name])));
  const lines = bands.flatMap(([low, high]) => [low, high]).map((name) => ({ name, values: padded(quantile(forecast, name)), hidden: true }));
  if (hasOperator) lines.push({ name: "tso", values: padded(operator), color: "tso", width: 1.75, dash: [6, 4] });
  if (some(previous)) lines.push({ name: "previous", values: previous, color: "forecast", width: 1.25 });
  lines.push({ name: "median", values: padded(median), color: "forecast", width: 2.5 }, { name: "measured", values: actual, color: "ink", width: 1.75 });
  const rows = forecast.intervals.map((each, number_) => [
    span(own.starts[number_], own.length, tz),
    ...["0.5", "0.25", "0.75", "0.1", "0.9", "0.025", "0.975"].map((name) => number(each.quantiles[name])),
  ]);
  return figure({
    title: ["Load, MW", zone.synthetic ? badge() : ""],
    label: `Fan chart of the load on ${dayInWords(date)}: the median rises from ${megawatts(Math.min(...median))} to ${megawatts(forecast.peak.value)} at ${clock(seconds(forecast.peak.valid_time), tz)}. Arrow keys read it hour by hour; the table below has every figure.`,
    height: 690,
    legend: [
      { name: "median", kind: "line", color: "forecast" },
      { name: "50\u202f%", kind: "area", color: "swatch-50" },
      { name: "80\u202f%", kind: "area", color: "swatch-80" },
      { name: "95\u202f% band", kind: "area", color: "swatch-95" },
      ...(some(actual) ? [{ name: "measured", kind: "line", color: "ink" }] : []),
      ...(some(previous) ? [{ name: "earlier forecast", kind: "thin", color: "forecast" }] : []),
      ...(hasOperator ? [{ name: "operator's forecast", kind: "dashed", color: "tso" }] : []),
    ],
    x: whole.centres,
    range: ends(whole),
    high: peak.dot.top * 1.02,
    ticks: hourTicks(whole, tz),
    lines,
    bands: bands.map(([low, high, color]) => ({ high, low, color })),
    under: (plot, ctx, ratio) => rule(plot, ctx, ratio, own.starts[0], "rule-strong"),
    over: (plot, ctx, ratio) => {
      dot(plot, ctx, ratio, peak.dot);
      note(plot, `peak ${span(peak.dot.at - own.length / 2, own.length, tz)}`, { x: peak.dot.at, y: peak.dot.top, dy: -14, align: "center", bold: true });
      if (issued > whole.starts[0] && issued < own.starts[0]) {
        rule(plot, ctx, ratio, issued, "forecast", [3, 4]);
        note(plot, "issued", { x: issued, y: plot.scales.y.max, dx: -6, dy: 12, align: "right", color: "forecast" });
      }
    },
    say: (index) => {
      const when = span(whole.starts[index], own.length, tz);
      const each = forecast.intervals[index - before.length]?.quantiles;
      const was = known(actual[index]) ? `measured ${megawatts(actual[index])}` : "";
      const said = known(previous[index]) ? `forecast the day before ${megawatts(previous[index])}` : "";
      return each
        ? [when, `median ${megawatts(each["0.5"])}`, `80\u202f%: ${number(each["0.1"])} to ${number(each["0.9"])}`, `95\u202f%: ${number(each["0.025"])} to ${number(each["0.975"])}`, known(operator[index - before.length]) ? `operator ${megawatts(operator[index - before.length])}` : "", was].filter(Boolean).join(" · ")
        : [when, said, was || "not measured yet"].filter(Boolean).join(" · ");
    },
    table: table({
      caption: `Forecast for ${dayInWords(date, { year: "numeric" })}, MW, clocks of ${tz}`,
      head: ["Interval", "Median", "50\u202f% from", "to", "80\u202f% from", "to", "95\u202f% from", "to"],
      rows,
    }),
  });
}

function rule(plot, ctx, ratio, at, color, dash = []) {
  const x = Math.round(plot.valToPos(at, "x", true));
  ctx.setLineDash(dash.map((part) => part * ratio));
  ctx.lineWidth = ratio;
  ctx.strokeStyle = ink(color);
  ctx.beginPath();
  ctx.moveTo(x, plot.bbox.top);
  ctx.lineTo(x, plot.bbox.top + plot.bbox.height);
  ctx.stroke();
}

function dot(plot, ctx, ratio, { at, value }) {
  ctx.setLineDash([]);
  ctx.lineWidth = 2 * ratio;
  ctx.fillStyle = ink("forecast");
  ctx.strokeStyle = ink("paper");
  ctx.beginPath();
  ctx.arc(plot.valToPos(at, "x", true), plot.valToPos(value, "y", true), 5.5 * ratio, 0, 7);
  ctx.fill();
  ctx.stroke();
}

function downloads({ zone, date }) {
  const link = (format) => {
    const href = `v1/zones/${encodeURIComponent(zone.zone)}/forecast?delivery_day=${date}&format=${format}`;
    const name = `gridcast_${zone.zone}_${date}.${format}`; // as the server names it
    const click = (event) => {
      if (!hasKey()) return;
      event.preventDefault();
      save(href, name).catch((error) => put("downloads", empty(error.title, error.remedy)));
    };
    return make("li", {}, make("a", { href, download: name, click }, { csv: "CSV", json: "JSON", parquet: "Parquet" }[format]));
  };
  return make("div", { class: "downloads" }, make("p", { id: "downloads-name" }, "Download the forecast"), make("ul", { "aria-labelledby": "downloads-name" }, ["csv", "json", "parquet"].map(link)));
}
