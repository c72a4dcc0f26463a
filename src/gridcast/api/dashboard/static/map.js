// The zones that have a forecast, or at least data, where they lie; a press chooses one.

import { make } from "./elements.js";
import { LAND } from "./europe.js";

const UNITS = 100; // of LAND, in a degree
const EDGES = { west: -25, east: 45, south: 33, north: 72 };
const ROOM = { least: 7, around: 1.35 }; // degrees that are shown at least; how much wider than the zones
const NS = "http://www.w3.org/2000/svg";

const east = (zone) => zone.longitude * UNITS;
const south = (zone) => -Math.log(Math.tan(Math.PI / 4 + (zone.latitude * Math.PI) / 360)) * (180 / Math.PI) * UNITS;
const within = (zone) =>
  zone.longitude > EDGES.west && zone.longitude < EDGES.east && zone.latitude > EDGES.south && zone.latitude < EDGES.north;

/** Draw the map into a host; it stays hidden where none of them lies on it. */
export function drawMap(host, { zones, choose }) {
  const placed = zones.filter((zone) => Number.isFinite(zone.latitude) && within(zone));
  const forecast = placed.filter((zone) => zone.has_forecast);
  const alive = forecast.length ? forecast : placed.filter((zone) => zone.has_data);
  host.hidden = !alive.length;
  if (host.hidden) return;
  const box = frame(alive);
  const svg = document.createElementNS(NS, "svg");
  svg.setAttribute("viewBox", `${box.left} ${box.top} ${box.width} ${box.height}`);
  svg.setAttribute("aria-hidden", "true");
  const land = document.createElementNS(NS, "path");
  land.setAttribute("d", LAND);
  svg.append(land);
  for (const zone of placed.filter((each) => !alive.includes(each))) {
    const dot = document.createElementNS(NS, "circle");
    for (const [name, value] of Object.entries({ cx: east(zone), cy: south(zone), r: box.width / 130 })) dot.setAttribute(name, value);
    svg.append(dot);
  }
  const buttons = alive.map((zone) => {
    const button = make("button", { type: "button", class: "place", "data-zone": zone.zone, "aria-label": `${zone.name} (${zone.zone})`, click: () => choose(zone.zone) }, make("span", {}, zone.zone));
    button.style.left = `${((east(zone) - box.left) / box.width) * 100}%`;
    button.style.top = `${((south(zone) - box.top) / box.height) * 100}%`;
    return button;
  });
  host.replaceChildren(make("div", { class: "map" }, svg, buttons));
}

export function markMap(host, code) {
  for (const button of host.querySelectorAll("button")) {
    if (button.dataset.zone === code) button.setAttribute("aria-current", "true");
    else button.removeAttribute("aria-current");
  }
}

/** The part of the map to show, three wide and two high. */
function frame(zones) {
  const [xs, ys] = [zones.map(east), zones.map(south)];
  const centre = [(Math.min(...xs) + Math.max(...xs)) / 2, (Math.min(...ys) + Math.max(...ys)) / 2];
  const wide = Math.max(Math.max(...xs) - Math.min(...xs), (Math.max(...ys) - Math.min(...ys)) * 1.5) * ROOM.around;
  const width = Math.max(wide, ROOM.least * UNITS);
  const height = width / 1.5;
  return { left: centre[0] - width / 2, top: centre[1] - height / 2, width, height };
}
