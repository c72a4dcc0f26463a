// The server's answers, or the problem it names with its remedy.

const PATIENCE = 20_000; // milliseconds
const KEY = "gridcast.key";
let key = sessionStorage.getItem(KEY);

export class Problem extends Error {
  constructor({ title, detail = "", remedy = "", status = 0, request_id: request = "" }) {
    super(title);
    Object.assign(this, { title, detail, remedy, status, request });
  }
}

/** Keep an API key for this tab; it goes nowhere but into the header of requests to this server. */
export function useKey(text) {
  key = text.trim();
  sessionStorage.setItem(KEY, key);
}

export const hasKey = () => Boolean(key);

/** The JSON document at a path below this page, or a Problem. */
export async function get(path, { signal } = {}) {
  const response = await answer(path, { signal, accept: "application/json" });
  try {
    return await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Problem({ title: "The answer cannot be read", detail: path, remedy: "Try again; if it stays, look at the server's log." });
  }
}

/** A file that only a key opens, saved under a name. */
export async function save(path, name) {
  const response = await answer(path, { accept: "*/*" });
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(await response.blob()), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

async function answer(path, { signal, accept }) {
  const headers = { Accept: accept, ...(key ? { Authorization: `Bearer ${key}` } : {}) };
  const limit = AbortSignal.timeout(PATIENCE);
  let response;
  try {
    response = await fetch(path, { headers, signal: signal ? AbortSignal.any([signal, limit]) : limit });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    const late = error.name === "TimeoutError";
    throw new Problem({
      title: late ? "The server took too long" : "The server does not answer",
      detail: late ? `No answer within ${PATIENCE / 1000} seconds.` : "",
      remedy: "See that gridcast serve is running and that you are online, then try again.",
    });
  }
  if (response.ok) return response;
  throw new Problem(await named(response));
}

async function named(response) {
  const plain = { title: `The server answered ${response.status}`, remedy: "Try again; if it stays, look at the server's log.", status: response.status };
  if (!(response.headers.get("Content-Type") ?? "").includes("json")) return plain;
  try {
    return { ...plain, ...(await response.json()), status: response.status };
  } catch {
    return plain;
  }
}
