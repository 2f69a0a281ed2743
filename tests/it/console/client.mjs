// The platform as other clients use it: what the page shows is made, and looked up, by way of this.

import assert from "node:assert/strict";

import { api, ingest, key, operatorKey, tenant, until } from "./browser.mjs";

export async function call(method, path, { body, type = "application/json", as = key } = {}) {
  const headers = { authorization: `Bearer ${as}` };
  if (body !== undefined) headers["content-type"] = type;
  const answer = await fetch(`${api}/api/v1${path}`, { method, headers, body });
  return { status: answer.status, text: await answer.text() };
}

export async function read(path, as) {
  const { status, text } = await call("GET", path, { as });
  assert.equal(status, 200, `${path}: ${text}`);
  return JSON.parse(text);
}

/** Posts as often as ingest asks for: by their ids, events that come twice are one. */
async function post(body, headers) {
  const answer = await until("ingest to answer", async () => {
    const told = await fetch(`${ingest}/events`, {
      method: "POST", body: JSON.stringify(body), headers: { authorization: `Bearer ${key}`, ...headers },
    });
    const text = await told.text();
    return ![503, 504].includes(told.status) && { status: told.status, text };
  });
  assert.equal(answer.status, 202, answer.text);
}

export async function send(events) {
  const batch = events.map((event) => ({ specversion: "1.0", source: "/shop", ...event }));
  await post(batch, { "content-type": "application/cloudevents-batch+json" });
}

/** A GitHub webhook, as GitHub sends it. */
export async function webhook(kind, delivery, body) {
  await post(body, { "content-type": "application/json", "x-github-event": kind, "x-github-delivery": delivery });
}

export async function saveRules(name, text) {
  const { status, text: said } = await call("PUT", `/rules/${name}`, { body: text, type: "text/plain" });
  assert.ok(status < 300, said);
  return JSON.parse(said).version;
}

/** Gives the tenant a plan from the begin of this month. */
export async function subscribe(plan) {
  const month = new Date(Date.UTC(new Date().getUTCFullYear(), new Date().getUTCMonth())).toISOString();
  const body = JSON.stringify({ plan, effective_from: month });
  const { status, text } = await call("PUT", `/tenants/${tenant}/plan`, { body, as: operatorKey });
  assert.equal(status, 200, text);
}

export const stored = (id, source = "/shop") => until(`${id} to be stored`, async () => {
  const { status, text } = await call("GET", `/events/${encodeURIComponent(source)}/${encodeURIComponent(id)}`);
  return status === 200 && JSON.parse(text);
});

/** Sends events of a type that no rule is about until one ran through this version of the rules. */
export async function live(version) {
  let n = 0;
  await until(`version ${version} of the rules to be live`, async () => {
    const id = `live-${version}-${n += 1}`;
    await send([{ id, source: "/live", type: "test.live" }]);
    return (await stored(id, "/live")).errules?.split(":")[0] === String(version);
  });
}
