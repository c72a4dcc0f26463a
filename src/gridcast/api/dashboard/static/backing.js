// What stands behind the forecast: the data, day by day, and the model that is champion.

import { empty, facts, make, put, table } from "./elements.js";
import { age, dayInWords, known, moment, number, plain, seconds } from "./words.js";

const LATE = 26; // hours; a day's data and a little more

export function showData({ zone, quality }) {
  const { days } = quality;
  const due = sum(days, "due");
  const missing = due - sum(days, "known");
  const held = sum(days, "in_quarantine");
  const late = known(quality.data_age_hours) && quality.data_age_hours > LATE;
  put(
    "data-words",
    make("p", { class: late ? "finding late" : "finding" }, quality.newest_load ? `The newest load is ${age(quality.data_age_hours)} old.` : "There is no load yet."),
    quality.newest_load ? make("p", {}, make("time", { datetime: quality.newest_load }, moment(seconds(quality.newest_load), zone.local_tz)), ". ", late ? "That is later than it should be." : "") : "",
    !due ? "" : make("p", {}, missing ? `${number(missing)} of ${number(due)} intervals that were due are missing.` : `All ${number(due)} intervals that were due are here.`, held ? ` ${number(held)} ${held === 1 ? "value is" : "values are"} in quarantine.` : ""),
  );
  if (!days.length) {
    put("data-figure", empty("No data of this zone in the last weeks.", `gridcast ingest --zone ${zone.zone}`));
    return;
  }
  put(
    "data-figure",
    make(
      "figure",
      {},
      make("figcaption", {}, make("p", { class: "figure-title" }, `Load by day, ${days.length} days`), make("ul", { class: "legend" }, key("known", "strip-known"), missing ? key("missing", "strip-missing") : null, held ? key("in quarantine", "tso", "mark") : null)),
      make("div", { class: "strip", role: "img", "aria-label": `${days.filter((each) => each.known >= each.due).length} of ${days.length} days are complete. The table below has every day.` }, days.map(cell)),
      table({ caption: "Load that was due, by day", head: ["Day", "Due", "Known", "In quarantine"], rows: days.map((each) => [dayInWords(each.day, { weekday: "short", month: "short" }), number(each.due), number(each.known), number(each.in_quarantine)]) }),
    ),
  );
}

const sum = (days, name) => days.reduce((total, each) => total + (each[name] ?? 0), 0);

function key(name, color, kind = "area") {
  const swatch = make("span", { class: `swatch ${kind}`, "aria-hidden": "true" });
  swatch.style.setProperty("--swatch", `var(--${color})`);
  return make("li", {}, swatch, name);
}

function cell({ day, due, known: count, in_quarantine: held }, row, all) {
  const bar = make("span", { class: "cell", title: `${dayInWords(day)}: ${count} of ${due}${held ? `, ${held} in quarantine` : ""}` });
  bar.style.setProperty("--known", due ? Math.min(1, count / due) : 1);
  const monday = new Date(`${day}T12:00Z`).getUTCDay() === 1;
  return make("span", { class: "day" }, bar, make("span", { class: held ? "held" : "" }), make("span", { class: "day-name" }, monday || all.length < 8 ? dayInWords(day, { weekday: "", month: "short" }) : ""));
}

const BASES = { none: "none", forecast: "as it was forecast then", observed: "as it was observed: flatters a score", reported: "as published", assumed: "publication assumed by rule", "last-version": "last version: flatters a score" };
const INPUTS = { load: "load", calendar: "calendar", weather: "weather", tso: "operator's forecast" };

/** What the model learned from: of what it was offered, a basis of "none" says that nothing came of it. */
const used = (card) => (card.inputs ?? []).filter((name) => card[`${name}_basis`] !== "none").map((name) => INPUTS[name] ?? name);

export function showModel({ zone, card }) {
  const trained = moment(seconds(card.trained_at), zone.local_tz);
  put(
    "model-words",
    make("p", { class: "finding" }, `The champion is the ${plain(card.model)} model.`),
    make("p", {}, `It learned from ${dayInWords(card.first_day, { weekday: "", year: "numeric" })} to ${dayInWords(card.last_day, { weekday: "", year: "numeric" })}.`),
  );
  put(
    "model-card",
    facts(
      {
        Version: make("code", {}, card.version),
        Task: plain(card.task),
        Trained: make("time", { datetime: card.trained_at }, trained),
        Inputs: used(card).join(", "),
        "Weather it learned from": BASES[card.weather_basis] ?? card.weather_basis ?? "–",
        "Operator's forecast": BASES[card.tso_basis] ?? card.tso_basis ?? "–",
        "Self-check": card.canary === "matches" ? "its canary forecast matches the manifest" : card.canary,
        "Made by": `gridcast ${card.gridcast}`,
        "SHA-256 of the manifest": make("code", {}, card.manifest_sha256),
        "SHA-256 of its data": make("code", {}, card.data_sha256),
      },
      { class: "card" },
    ),
    make("details", { class: "figures" }, make("summary", {}, "Parameters"), make("pre", { tabindex: "0" }, JSON.stringify(card.parameters ?? {}, null, 1))),
  );
}
