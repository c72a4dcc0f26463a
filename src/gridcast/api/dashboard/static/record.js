// How good the forecasts of the last weeks were, beside a repeat of the week before and the operator's own.

import { figure } from "./chart.js";
import { empty, make, put, table } from "./elements.js";
import { dayInWords, known, megawatts, number, percent } from "./words.js";

const RIVALS = [["naive_mae_mw", "week before", "naive", [2, 4]], ["tso_mae_mw", "operator", "tso", [6, 4]]];

export function showRecord({ scores }) {
  const days = scores.days.filter((each) => each.n > 0);
  if (!days.length) {
    put("record-words", "");
    put("record-figure", empty("No stored forecast can be scored yet.", "A score appears when the actual load of a forecast day has arrived."));
    return;
  }
  const rivals = RIVALS.filter(([name]) => days.some((each) => known(each[name])));
  words({ mean: scores.mean, days, rivals });
  const value = (name) => days.map((each) => (known(each[name]) ? each[name] : null));
  put(
    "record-figure",
    figure({
      title: "Mean absolute error of the day, MW",
      label: `Errors of ${days.length} days: ${megawatts(scores.mean.mae_mw)} on average. Lower is better. The table below has every figure.`,
      hint: "Lower is better.",
      height: 320,
      legend: [{ name: "our forecast", kind: "line", color: "forecast" }, ...rivals.map(([, name, color, dash]) => ({ name, kind: dash[0] > 2 ? "dashed" : "dotted", color }))],
      x: days.map((_, row) => row),
      range: [-0.5, Math.max(days.length - 0.5, 0.5)],
      ticks: (width) => weeks(days, width),
      low: 0,
      lines: [
        ...rivals.map(([name, , color, dash]) => ({ name, values: value(name), color, width: 1.75, dash })),
        { name: "mae_mw", values: value("mae_mw"), color: "forecast", width: 2.5 },
      ],
      say: (index) => [dayInWords(days[index].delivery_day, { weekday: "short" }), `our forecast ${megawatts(days[index].mae_mw)}`, ...rivals.map(([name, words_]) => `${words_} ${megawatts(days[index][name])}`)].join(" · "),
      table: table({
        caption: "Scores by delivery day",
        head: ["Day", "Intervals", "Error, MW", "Error, %", "Week before, MW", "Operator, MW", "Inside 80\u202f% band"],
        rows: days.map((each) => [dayInWords(each.delivery_day, { weekday: "short", month: "short" }), number(each.n), number(each.mae_mw, 1), number(each.mape_pct, 2), number(each.naive_mae_mw, 1), number(each.tso_mae_mw, 1), percent(each.coverage_80_pct)]),
      }),
    }),
  );
}

const weeks = (days, width) =>
  days
    .map((each, at) => ({ at, day: each.delivery_day }))
    .filter(({ day }) => new Date(`${day}T12:00Z`).getUTCDay() === 1)
    .filter((_, row, all) => width > 560 || all.length < 5 || row % 2 === 0)
    .map(({ at, day }) => ({ at, text: dayInWords(day, { weekday: "", month: "short" }) }));

function words({ mean, days, rivals }) {
  const against = ([name, , , ], words_) => {
    const share = 1 - mean.mae_mw / mean[name];
    return `${percent(Math.abs(share) * 100)} ${share >= 0 ? "less" : "more"} than ${words_}`;
  };
  const said = { naive_mae_mw: "a repeat of the week before", tso_mae_mw: "the operator's own forecast" };
  const compared = rivals.filter(([name]) => known(mean[name]) && mean[name] > 0).map((rival) => against(rival, said[rival[0]]));
  put(
    "record-words",
    make("p", { class: "finding" }, `Off by ${megawatts(mean.mae_mw)} on average, ${percent(mean.mape_pct, 1)}, over ${days.length} days.`),
    compared.length ? make("p", {}, `That is ${compared.join(" and ")}.`) : "",
    known(mean.coverage_80_pct) ? make("p", {}, `${percent(mean.coverage_80_pct)} of all intervals lay inside their 80\u202f% band.`) : "",
  );
}
