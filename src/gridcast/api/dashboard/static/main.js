// The page: choose a zone, ask the server, show each part as it arrives.

import { get, Problem } from "./answers.js";
import { showData, showModel } from "./backing.js";
import { newestWhole, showChecked, showUnchecked } from "./checked.js";
import { empty, fill, find, loading, make, problem, put } from "./elements.js";
import { deliveryDay, showForecast } from "./forecast.js";
import { drawMap, markMap } from "./map.js";
import { showReasons } from "./reasons.js";
import { showRecord } from "./record.js";
import { dayInWords, instant, midnight, shifted } from "./words.js";

const LAST = "gridcast.zone";
const DAYS = 28;
const FRESH = 10 * 60_000; // milliseconds after which a page that comes back to sight asks again
let zones = [];
let visit = new AbortController();
let asked = 0;

async function start() {
  if (!zones.length) put("fan", loading("Asking which zones there are…"));
  try {
    ({ zones } = await get("v1/zones"));
  } catch (error) {
    if (!(error instanceof Problem)) console.error(error);
    put("fan", problem(error, { retry: start }));
    return;
  }
  picker();
  drawMap(find("map"), { zones, choose: go });
  const named = new URLSearchParams(location.search).get("zone");
  const first = zones.find((zone) => zone.zone === (named ?? remembered())) ?? zones.find((zone) => zone.has_forecast) ?? zones.find((zone) => zone.has_data) ?? zones[0];
  if (first) {
    show(first.zone);
    if (named && named !== first.zone) find("notice").textContent = `There is no bidding zone ${named}; this is ${first.name}.`;
  } else put("fan", empty("There is no bidding zone.", "Add one to the zones file and start the server again."));
}

function picker() {
  const groups = { "With a forecast": [], "With data, no forecast yet": [], "No forecast here": [] };
  for (const zone of zones) groups[zone.has_forecast ? "With a forecast" : zone.has_data ? "With data, no forecast yet" : "No forecast here"].push(zone);
  const select = find("zone");
  select.replaceChildren(
    ...Object.entries(groups).filter(([, members]) => members.length).map(([label, members]) =>
      make("optgroup", { label }, members.map((zone) => make("option", { value: zone.zone }, `${zone.name} · ${zone.zone}`)))),
  );
  select.disabled = false;
  select.onchange = () => go(select.value);
}

function go(code) {
  const address = new URL(location.href);
  address.searchParams.set("zone", code);
  history.pushState(null, "", address);
  show(code);
}

function remembered() {
  try {
    return localStorage.getItem(LAST);
  } catch {
    return null;
  }
}

function show(code) {
  const zone = zones.find((each) => each.zone === code);
  visit.abort();
  visit = new AbortController();
  asked = Date.now();
  try {
    localStorage.setItem(LAST, code);
  } catch {
    // Storage is switched off: the next visit starts with the first zone.
  }
  find("zone").value = code;
  markMap(find("map"), code);
  put("headline", zone.name, make("span", { class: "code" }, zone.zone));
  put("kicker", "Day-ahead load forecast");
  put("clock-note", `Times are on the clocks of ${zone.local_tz.replaceAll("_", " ")}; a delivery day runs from midnight to midnight of ${zone.market_tz.replaceAll("_", " ")}.`);
  put("downloads");
  put("notice");
  for (const each of document.querySelectorAll("[data-needs]")) each.hidden = !zone[each.dataset.needs];
  say(`Loading ${zone.name}.`);
  parts(zone, visit.signal);
}

const say = (words) => {
  find("status").textContent = words;
};

const absent = (zone) =>
  new Problem({
    status: 404,
    title: "No forecast",
    detail: `There is no forecast of ${zone.name} here`,
    remedy: `Choose a zone with a forecast from the list, or have one made on the server: gridcast issue --zone ${zone.zone}`,
  });

function parts(zone, signal) {
  const ask = (path) => get(path, { signal });
  const path = `v1/zones/${encodeURIComponent(zone.zone)}`;
  const load = (day) => ask(`${path}/load?start=${instant(midnight(shifted(day, -1), zone.market_tz))}&end=${instant(midnight(shifted(day, 1), zone.market_tz))}`);
  const part = (slots, words, work) => fill(slots, work, { words, signal });

  part(["fan", "facts"], "Loading the forecast…", async () => {
    if (!zone.has_forecast) return () => put("fan", problem(absent(zone), { retry: start }));
    const forecast = await ask(`${path}/forecast`);
    const day = deliveryDay(forecast, zone);
    const before = shifted(day, -1);
    const beside = [load(day), zone.first_forecast_day <= before ? ask(`${path}/forecast?delivery_day=${before}`) : null];
    const [history, earlier] = await Promise.all(beside.map((each) => each?.catch(() => null))); // the fan stands without them
    return () => say(showForecast({ zone, forecast, load: history, earlier }));
  }).then(() => {
    if (!signal.aborted && find("fan").querySelector(".problem")) say(`${zone.name}: no forecast to show.`);
  });

  if (zone.has_forecast) lookingBack({ zone, path, ask, load, part });
  if (!zone.has_data) return;

  part(["data-figure", "data-words"], "Loading the state of the data…", async () => {
    const quality = await ask(`${path}/quality?days=${DAYS}`);
    return () => showData({ zone, quality });
  });

  part(["model-card", "model-words"], "Loading the model card…", async () => {
    const card = await ask(`v1/models/champion?zone=${encodeURIComponent(zone.zone)}`);
    return () => showModel({ zone, card });
  });
}

/** What only a zone with forecasts has: its explanation, its scores, and a day that is over. */
function lookingBack({ zone, path, ask, load, part }) {
  part(["reasons-figure", "reasons-words"], "Loading the explanation…", async () => {
    const explanation = await ask(`${path}/explanation`);
    return () => showReasons({ zone, explanation });
  });

  let asking = null; // two parts read the same scores; a failure is not kept
  const scores = () =>
    (asking ??= ask(`${path}/scores?days=${DAYS}`).catch((error) => {
      asking = null;
      throw error;
    }));
  part(["record-figure", "record-words"], "Loading the scores…", async () => {
    const found = await scores();
    return () => showRecord({ scores: found });
  });

  const checked = (chosen) =>
    part(["checked-figure", "checked-words"], "Loading the day…", async () => {
      const { days } = await scores();
      const day = chosen ?? newestWhole(days);
      if (!day) return showUnchecked;
      const [forecast, found] = await Promise.all([ask(`${path}/forecast?delivery_day=${day}`), load(day)]);
      const scored = days.filter((each) => each.n > 0);
      return () => {
        showChecked({ zone, forecast, load: found, score: scored.find((each) => each.delivery_day === day), days: scored.map((each) => each.delivery_day), choose: checked });
        if (chosen) {
          find("checked-words").querySelector("button:not(:disabled)")?.focus();
          say(`Showing ${dayInWords(day)}.`);
        }
      };
    });
  checked(null);
}

addEventListener("popstate", () => {
  const code = new URLSearchParams(location.search).get("zone");
  if (zones.some((zone) => zone.zone === code)) show(code);
});

document.addEventListener("visibilitychange", () => {
  if (document.visibilityState === "visible" && zones.length && Date.now() - asked > FRESH) start();
});

start();
