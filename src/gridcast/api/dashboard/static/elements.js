// Elements, tables, and the states of a part of the page: loading, empty, problem, shown.

import { Problem, useKey } from "./answers.js";

/** An element; attributes that are false or null are left out, functions are listeners, children are text or nodes. */
export function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (typeof value === "function") made.addEventListener(key, value);
    else made.setAttribute(key, value === true ? "" : value);
  }
  made.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return made;
}

export const find = (id) => document.getElementById(id);
export const put = (id, ...children) => find(id).replaceChildren(...children.flat());

/** A definition list of pairs. */
export function facts(pairs, attributes = {}) {
  return make("dl", attributes, Object.entries(pairs).map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value))));
}

/** A table that folds out: what a chart shows, in figures. */
export function table({ summary = "Show the figures", caption, head, rows }) {
  const cells = (row) => row.map((cell, column) => make(column ? "td" : "th", column ? {} : { scope: "row" }, cell));
  return make(
    "details",
    { class: "figures" },
    make("summary", {}, summary),
    make(
      "div",
      { class: "scroll", role: "region", tabindex: "0", "aria-label": caption },
      make(
        "table",
        {},
        make("caption", {}, caption),
        make("thead", {}, make("tr", {}, head.map((name) => make("th", { scope: "col" }, name)))),
        make("tbody", {}, rows.map((row) => make("tr", {}, cells(row)))),
      ),
    ),
  );
}

export const empty = (words, remedy) =>
  make("div", { class: "empty" }, make("p", {}, words), remedy ? make("p", { class: "remedy" }, remedy) : null);

/** What went wrong, what to do, and a button that tries again. */
export function problem(error, { retry }) {
  const known = error instanceof Problem ? error : new Problem({ title: "This part of the page failed", detail: String(error.message ?? error), remedy: "Reload the page." });
  return make(
    "div",
    { class: known.status === 404 ? "problem missing" : "problem", role: "alert" },
    make("p", { class: "problem-title" }, known.title),
    known.detail && known.detail !== known.title ? make("p", { class: "detail" }, sentence(known.detail)) : null,
    known.remedy ? make("p", { class: "remedy" }, make("b", {}, "What to do: "), coded(known.remedy)) : null,
    known.status === 401 ? keyForm(retry) : make("button", { type: "button", click: retry }, "Try again"),
    known.request ? make("p", { class: "fine" }, `Request ${known.request}`) : null,
  );
}

const sentence = (words) => words[0].toUpperCase() + words.slice(1) + (/[.!?]$/.test(words) ? "" : ".");
/** Words whose command, all of them or their end, is set as code. */
const coded = (remedy) => remedy.split(/(^gridcast .*|gridcast \w+ --.*)/).map((part, place) => (place % 2 ? make("code", {}, part) : part));

function keyForm(retry) {
  const field = make("input", { type: "password", id: `key-${Math.random().toString(36).slice(2)}`, autocomplete: "off", required: true });
  const use = (event) => {
    event.preventDefault();
    useKey(field.value);
    retry();
  };
  return make("form", { class: "key", submit: use }, make("label", { for: field.id }, "API key"), field, make("button", {}, "Use this key"));
}

export function loading(words) {
  return make("div", { class: "loading" }, make("p", {}, words));
}

/** Fill slots with what `work` draws; meanwhile they say that they load, and where it fails, why. */
export async function fill(slots, work, { words, signal }) {
  const [first, ...others] = slots.map(find);
  for (const each of [first, ...others]) {
    each.setAttribute("aria-busy", "true");
    each.replaceChildren();
  }
  first.replaceChildren(loading(words));
  try {
    const draw = await work();
    if (signal.aborted) return;
    first.replaceChildren();
    draw();
  } catch (error) {
    if (signal.aborted) return;
    if (!(error instanceof Problem)) console.error(error);
    first.replaceChildren(problem(error, { retry: () => fill(slots, work, { words, signal }) }));
  } finally {
    if (!signal.aborted) for (const each of [first, ...others]) each.removeAttribute("aria-busy");
  }
}
