// A day that is over: its forecast, what was measured, and the operator's own forecast.

import { figure } from "./chart.js";
import { empty, make, put, table } from "./elements.js";
import { degraded, FAN } from "./forecast.js";
import { axis, ends, hourTicks, measured, quantile, some } from "./hours.js";
import { called, dayInWords, known, megawatts, number, percent, span } from "./words.js";

/** The newest day that is measured to its end, else the newest that is measured at all. */
export function newestWhole(days) {
  const scored = days.filter((each) => each.n > 0);
  const most = Math.max(...scored.map((each) => each.n));
  return (scored.findLast((each) => each.n >= most * 0.95) ?? scored.at(-1))?.delivery_day ?? null;
}

export function showUnchecked() {
  put("checked-words", "");
  put("checked-figure", empty("No stored forecast has met its actual load yet.", "It will stand here a day after the first forecast was issued."));
}

export function showChecked({ zone, forecast, load, score, days, choose }) {
  const tz = zone.local_tz;
  const own = axis(forecast);
  const actual = measured(load, "load", own);
  const operator = measured(load, "tso", own);
  const median = quantile(forecast, "0.5");
  const date = score.delivery_day;
  put("checked-words", stepper({ zone, date, days, choose }), finding({ score, forecast, actual, basis: load.tso_basis }), forecast.degraded ? degraded(forecast.degraded) : "");
  const hasOperator = some(operator);
  const [, eighty] = FAN;
  put(
    "checked-figure",
    figure({
      title: `Load on ${dayInWords(date)}, MW`,
      label: `The forecast of ${dayInWords(date)} and what was measured: off by ${megawatts(score.mae_mw)} on average. The table below has every figure.`,
      legend: [
        ...(some(actual) ? [{ name: "measured", kind: "line", color: "ink" }] : []),
        { name: "our forecast", kind: "line", color: "forecast" },
        { name: "its 80\u202f% band", kind: "area", color: "swatch-80" },
        ...(hasOperator ? [{ name: "operator's forecast", kind: "dashed", color: "tso" }] : []),
      ],
      x: own.centres,
      range: ends(own),
      ticks: hourTicks(own, tz),
      lines: [
        ...eighty.slice(0, 2).map((name) => ({ name, values: quantile(forecast, name), hidden: true })),
        ...(hasOperator ? [{ name: "tso", values: operator, color: "tso", width: 1.75, dash: [6, 4] }] : []),
        { name: "median", values: median, color: "forecast", width: 2.5 },
        { name: "measured", values: actual, color: "ink", width: 2 },
      ],
      bands: [{ low: eighty[0], high: eighty[1], color: "band-80" }],
      say: (index) =>
        [
          span(own.starts[index], own.length, tz),
          `forecast ${megawatts(median[index])}`,
          known(actual[index]) ? `measured ${megawatts(actual[index])}` : "not measured yet",
          known(operator[index]) ? `operator ${megawatts(operator[index])}` : "",
        ].filter(Boolean).join(" · "),
      table: table({
        caption: `Forecast and measured load of ${dayInWords(date, { year: "numeric" })}, MW, clocks of ${tz}`,
        head: ["Interval", "Forecast", "80\u202f% from", "to", "Measured", "Operator's forecast"],
        rows: own.starts.map((start, row) => [
          span(start, own.length, tz),
          ...[median[row], ...eighty.slice(0, 2).map((name) => forecast.intervals[row].quantiles[name]), actual[row], operator[row]].map((value) => number(value)),
        ]),
      }),
    }),
  );
}

const BASES = { "last-version": "in its last version, which flatters it, ", assumed: "published at an assumed time, " };

function finding({ score, forecast, actual, basis }) {
  const inside = forecast.intervals.filter(({ quantiles }, row) => known(actual[row]) && quantiles["0.1"] <= actual[row] && actual[row] <= quantiles["0.9"]).length;
  const seen = actual.filter(known).length;
  const others = [
    known(score.tso_mae_mw) ? `the operator's own forecast${BASES[basis] ? `, ${BASES[basis]}` : " "}by ${megawatts(score.tso_mae_mw)}` : "",
    known(score.naive_mae_mw) ? `a repeat of the week before by ${megawatts(score.naive_mae_mw)}` : "",
  ].filter(Boolean);
  return [
    make("p", { class: "finding" }, `Off by ${megawatts(score.mae_mw)} on average`, known(score.mape_pct) ? `, ${percent(score.mape_pct, 1)}.` : "."),
    others.length ? make("p", {}, `On the same intervals ${others.join(" and ")}.`) : null,
    seen ? make("p", {}, `${number(inside)} of ${number(seen)} measured intervals lay inside the 80\u202f% band.`) : null,
  ].filter(Boolean);
}

function stepper({ zone, date, days, choose }) {
  const place = days.indexOf(date);
  const button = (label, words, target) =>
    make("button", { type: "button", class: "quiet", "aria-label": words, disabled: target === undefined, click: () => choose(target) }, label);
  const word = called(date, zone.market_tz);
  return make(
    "div",
    { class: "stepper", role: "group", "aria-label": "Choose a day" },
    button("←", "The day before", days[place - 1]),
    make("p", { "aria-live": "polite" }, word ? `${word}, ` : "", dayInWords(date, { weekday: word ? "short" : "long", month: word ? "short" : "long" })),
    button("→", "The day after", days[place + 1]),
  );
}
