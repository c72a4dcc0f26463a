// Intervals on a time axis: where they lie, how they are labelled, what was measured in them.

import { clock, day, dayInWords, known, seconds, step } from "./words.js";

/** Starts, centres and length, in seconds, of a document's intervals. */
export function axis(document) {
  const length = step(document.resolution);
  const starts = document.intervals.map((each) => seconds(each.valid_time));
  return { length, starts, centres: starts.map((start) => start + length / 2) };
}

/** One quantile of a forecast, interval by interval. */
export const quantile = (document, name) => document.intervals.map((each) => each.quantiles[name] ?? null);

/** The mean of a measured value over each interval, whatever its own resolution; null where a part is unknown. */
export function measured(load, name, { starts, length }) {
  const own = step(load.resolution);
  const known_ = new Map(load.intervals.filter((each) => known(each[name])).map((each) => [seconds(each.valid_time), each[name]]));
  const value = (start) => {
    if (own >= length) return known_.get(Math.floor(start / own) * own) ?? null;
    let sum = 0;
    for (let part = start; part < start + length; part += own) {
      if (!known_.has(part)) return null;
      sum += known_.get(part);
    }
    return (sum * own) / length;
  };
  return starts.map(value);
}

export const some = (values) => values.some(known);

/** Ticks at the full hours of the zone's clock, every third or sixth, with the day's name at midnight. */
export const hourTicks = ({ starts, length }, tz) => (width) => {
  const ends = [...starts, starts.at(-1) + length];
  const wanted = width < 560 || (width / ends.length) * (3600 / length) < 16 ? 6 : 3;
  return ends
    .map((at) => ({ at, text: clock(at, tz) }))
    .filter(({ text }) => text.endsWith(":00") && Number(text.slice(0, 2)) % wanted === 0)
    .map(({ at, text }, number, all) => ({
      at,
      text: text === "00:00" && number < all.length - 1 ? `00:00\n${dayInWords(day(at, tz), { weekday: "short", month: "short" })}` : text,
    }));
};

export const ends = ({ starts, length }) => [starts[0], starts.at(-1) + length];
