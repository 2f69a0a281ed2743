// Sends events with the CloudEvents SDK of npm, and says on a line each what it sent and what was answered.

import { createRequire } from "node:module";

// NODE_PATH, which only the older loader knows.
const { CloudEvent, HTTP } = createRequire(import.meta.url)("cloudevents");

const [url, key] = process.argv.slice(2);
const authorization = `Bearer ${key}`;

const DATA = {
  object: { text: "«größer» 日本語 😀", list: [1, 2.5, null, true], nested: { a: {} } },
  list: [1, "2", [3]],
  bytes: Uint8Array.from({ length: 256 }, (_, n) => n),
};

const make = (mode, name, data) =>
  new CloudEvent({
    id: `js-${mode}-${name}`,
    source: "https://example.com/javascript",
    type: "com.example.javascript",
    subject: "orders/7",
    time: "2024-05-06T07:08:09.123Z",
    myextension: "yes",
    datacontenttype: data instanceof Uint8Array ? "application/octet-stream" : "application/json",
    data,
  });

const tell = (mode, event, data, status, answer) => {
  const { id, source, type, subject, time, myextension, datacontenttype } = event;
  const attributes = { id, source, type, subject, time, myextension, datacontenttype };
  const carried = data instanceof Uint8Array ? { base64: Buffer.from(data).toString("base64") } : { data };
  console.log(JSON.stringify({ mode, id, source, status, answer, attributes, ...carried }));
};

const post = async ({ headers, body }) => {
  const response = await fetch(url, { method: "POST", headers: { ...headers, authorization }, body });
  return [response.status, await response.text()];
};

for (const [name, data] of Object.entries(DATA)) {
  for (const [mode, encode] of [["binary", HTTP.binary], ["structured", HTTP.structured]]) {
    const event = make(mode, name, data);
    tell(mode, event, data, ...(await post(encode(event))));
  }
}

// The SDK reads batches and writes none: a batch is an array of what it makes for one.
const entries = Object.entries(DATA);
const events = entries.map(([name, data]) => make("batch", name, data));
const body = `[${events.map((event) => HTTP.structured(event).body).join(",")}]`;
const [status, answer] = await post({ headers: { "content-type": "application/cloudevents-batch+json" }, body });
const receipts = (JSON.parse(answer).receipts ?? []).map((receipt) => receipt.id);
if (JSON.stringify(receipts) !== JSON.stringify(events.map((event) => event.id))) throw new Error(answer);
events.forEach((event, index) => tell("batch", event, entries[index][1], status, answer));
