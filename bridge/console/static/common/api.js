/**
 * The bridge's API, as pages ask it: JSON in, JSON out, and errors as sentences that can be shown.
 */

export const API = "/api/v1";

/** What went wrong with a request; `message` is a sentence for people. */
export class ApiError extends Error {
  /**
   * @param {number} status HTTP status; 0 where the bridge was not reached
   * @param {string} code stable, for programs
   * @param {string} message a sentence
   * @param {object} [problem] the whole problem document
   */
  constructor(status, code, message, problem = {}) {
    super(message);
    this.name = "ApiError";
    this.status = status;
    this.code = code;
    this.problem = problem;
  }
}

/** Who is logged in: `{name, scope, csrf}`; null before that is known, or where nobody is. */
let current = null;
const watchers = new Set();

export const session = {
  /** @returns {{name: string, scope: string, csrf: string} | null} */
  get current() {
    return current;
  },

  /** Whether whoever is logged in may do what needs `scope` (read, control or admin). */
  may(scope) {
    const order = ["read", "control", "admin"];
    return current !== null && order.indexOf(current.scope) >= order.indexOf(scope);
  },

  /** Call `does` with the session whenever somebody logs in or out, also where it has run out. */
  watch(does) {
    watchers.add(does);
    return () => watchers.delete(does);
  },

  /** Ask who is logged in. Returns null where a token is needed first. */
  async load() {
    try {
      take(await get("/session"));
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      take(null);
    }
    return current;
  },

  /** Log in with an API token. Throws an `ApiError` for a wrong one. */
  async open(token) {
    take(await request("POST", "/session", { body: { token } }));
    return current;
  },

  /** Log out. */
  async close() {
    await request("DELETE", "/session");
    take(null);
  },
};

function take(found) {
  current = found;
  for (const does of watchers) does(found);
}

/**
 * Ask the API.
 *
 * @param {string} method
 * @param {string} path below `/api/v1`, its parts encoded (see `path`)
 * @param {object} [options] `query` (empty values are left out), `body` (sent as JSON), `signal`, `headers`, and
 *   `as`: `json` (the default), `text`, `bytes` or `response`
 * @throws {ApiError} for every answer that is no success, and where the bridge cannot be reached
 * @throws {DOMException} `AbortError`, when `signal` says so
 */
export async function request(method, path, { query, body, signal, headers = {}, as = "json" } = {}) {
  const sent = { ...headers };
  if (body !== undefined) sent["content-type"] = "application/json";
  if (method !== "GET" && current?.csrf) sent["x-csrf-token"] = current.csrf;
  let answer;
  try {
    answer = await fetch(address(path, query), {
      method,
      headers: sent,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
      credentials: "same-origin",
      cache: "no-store",
    });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError(0, "unreachable", "The bridge cannot be reached. Is it running, and are you online?");
  }
  if (!answer.ok) throw await failed(answer, path);
  if (as === "response") return answer;
  if (as === "text") return answer.text();
  if (as === "bytes") return answer.arrayBuffer();
  return answer.status === 204 || answer.status === 202 ? answer.json().catch(() => null) : answer.json();
}

async function failed(answer, path) {
  let problem = {};
  try {
    problem = await answer.json();
  } catch {
    // No problem document: the status has to do.
  }
  if (answer.status === 401 && !path.startsWith("/session") && current !== null) take(null);
  const sentence = problem.detail || problem.title || `The bridge answered with status ${answer.status}.`;
  return new ApiError(answer.status, problem.code || `http_${answer.status}`, sentence, problem);
}

/** The address of `path`, which is below `/api/v1`, for links, audio and pictures. */
export function address(path, query) {
  const asked = new URLSearchParams();
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined && value !== null && value !== "" && value !== false) asked.append(name, String(value));
  }
  const text = asked.toString();
  return API + path + (text ? `?${text}` : "");
}

/** Join the parts of a path, each encoded: `path("calls", id, "note")`. */
export function path(...parts) {
  return "/" + parts.map(encodeURIComponent).join("/");
}

export const get = (where, query, options) => request("GET", where, { ...options, query });
export const post = (where, body, options) => request("POST", where, { ...options, body });
export const remove = (where, query, options) => request("DELETE", where, { ...options, query });

/** A sentence for whatever was thrown. */
export function sentence(error) {
  if (error instanceof ApiError) return error.message;
  console.error(error);
  return "Something went wrong in this page; the browser's console says what.";
}
