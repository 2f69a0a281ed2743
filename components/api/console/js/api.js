// The HTTP API, asked in the name of whoever is signed in. A failure is a `Problem`, with the words of the API's own
// problem document.

import { session } from "./session.js";

const ROOT = "/api/v1";
const WITHIN_MS = 30_000;

export class Problem extends Error {
  constructor(fields) {
    super(fields.detail ?? fields.title);
    Object.assign(this, { title: "It did not work", detail: "", mend: "", status: 0, type: "", errors: [] }, fields);
  }
  get slug() {
    return this.type.split(/[:/]/).pop() ?? "";
  }
}

/** JSON with numbers beyond 2^53 kept whole, as BigInt, where the browser tells their text. */
export function parse(text) {
  return JSON.parse(text, (_, value, context) =>
    typeof value === "number" && !Number.isSafeInteger(value) && /^-?\d+$/.test(context?.source ?? "")
      ? BigInt(context.source) : value);
}

/** What `parse` read, laid out, each number with all its digits. */
export function layOut(value) {
  return JSON.stringify(value, (_, part) => (typeof part === "bigint" ? JSON.rawJSON(part.toString()) : part), 2);
}

export function segment(text) {
  return encodeURIComponent(text);
}

/** `/usage/acme` with these parameters; an operator's requests name the tenant, unless the path does. */
export function address(path, query = {}, named = false) {
  const all = { ...query };
  if (session.current?.operator && !named) all.tenant = session.current.tenant;
  const pairs = Object.entries(all).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const text = new URLSearchParams(pairs).toString();
  return `${ROOT}${path}${text ? `?${text}` : ""}`;
}

/** One request; the answer as it came, or a Problem. `key`: of somebody who is not signed in yet. */
export async function ask(path, { method = "GET", query, named, body, type, headers = {}, key, signal } = {}) {
  const sent = { accept: "application/json", authorization: `Bearer ${key ?? session.current?.key ?? ""}`, ...headers };
  if (body !== undefined) sent["content-type"] = type ?? "application/json";
  const bytes = body === undefined || typeof body === "string" || body instanceof Blob ? body : JSON.stringify(body);
  const timeout = AbortSignal.timeout(WITHIN_MS);
  let answer;
  try {
    answer = await fetch(address(path, query, named), {
      method, headers: sent, body: bytes, cache: "no-store", credentials: "omit", redirect: "error",
      signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
    });
  } catch (cause) {
    if (signal?.aborted) throw cause;
    throw new Problem({
      title: "The platform can't be reached",
      detail: cause.name === "TimeoutError" ? `No answer within ${WITHIN_MS / 1000} seconds.` : "The connection failed.",
      mend: "Look whether the platform runs and this machine is online, then try again.",
    });
  }
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

export async function json(path, options) {
  return parse(await (await ask(path, options)).text());
}

/** The problem document of an answer, or one made of its status where it has none. */
export async function refusal(answer) {
  const text = await answer.text().catch(() => "");
  try {
    const fields = JSON.parse(text);
    if (fields.title) return new Problem({ ...fields, status: answer.status });
  } catch {
    // Not one of ours: a proxy's page, say.
  }
  return new Problem({
    title: `The answer was ${answer.status} ${answer.statusText}`.trim(), status: answer.status, detail: text.slice(0, 300),
    mend: "It came without a problem document, so from something between this page and the API.",
  });
}
