// Publishes events with Node's @grpc/grpc-js, in every way there is, and says on a line each what it sent and was
// answered.
//
//     node send.mjs ADDRESS KEY      (ADDRESS: host:port)

import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

// NODE_PATH, which only the older loader knows.
const require = createRequire(import.meta.url);
const grpc = require("@grpc/grpc-js");
const loader = require("@grpc/proto-loader");

const protos = fileURLToPath(new URL("../../../../deploy/proto", import.meta.url));
const definition = loader.loadSync("eventrunner/v1/ingest.proto", { includeDirs: [protos], keepCase: true, longs: Number });
const { eventrunner } = grpc.loadPackageDefinition(definition);

const [address, key] = process.argv.slice(2);
const ingest = new eventrunner.v1.Ingest(address, grpc.credentials.createInsecure());
const metadata = new grpc.Metadata();
metadata.set("authorization", `Bearer ${key}`);
const deadline = () => ({ deadline: Date.now() + 30_000 });

const DATA = {
  object: { text: "«größer» 日本語 😀", list: [1, 2.5, null, true], nested: { a: {} } },
  list: [1, "2", [3]],
  text: "plain text",
  bytes: Buffer.from(Uint8Array.from({ length: 256 }, (_, n) => n)),
};

const make = (mode, name, data) => {
  const event = {
    id: `js-${mode}-${name}`,
    source: "https://example.com/javascript",
    spec_version: "1.0",
    type: "com.example.javascript",
    attributes: {
      subject: { ce_string: "orders/7" },
      time: { ce_timestamp: { seconds: 1714979289, nanos: 123000000 } },
      sampled: { ce_boolean: true },
      attempt: { ce_integer: -7 },
      homepage: { ce_uri: "https://example.com" },
    },
  };
  const [type, carried] = Buffer.isBuffer(data)
    ? ["application/octet-stream", { binary_data: data }]
    : typeof data === "string"
      ? ["text/plain", { text_data: data }]
      : ["application/json", { text_data: JSON.stringify(data) }];
  event.attributes.datacontenttype = { ce_string: type };
  return { ...event, ...carried };
};

const tell = (mode, event, data, receipt) => {
  const { id, source, type, spec_version: specversion } = event;
  const attributes = { id, source, type, specversion };
  for (const [name, value] of Object.entries(event.attributes)) [attributes[name]] = Object.values(value);
  attributes.time = "2024-05-06T07:08:09.123Z";
  const carried = Buffer.isBuffer(data) ? { base64: data.toString("base64") } : { data };
  console.log(JSON.stringify({ mode, id, source, receipt: receipt?.id, attributes, ...carried }));
};

const call = (method, message) =>
  new Promise((resolve, reject) => {
    ingest[method](message, metadata, deadline(), (error, answer) => (error ? reject(error) : resolve(answer)));
  });

for (const [name, data] of Object.entries(DATA)) {
  const event = make("one", name, data);
  tell("one", event, data, (await call("Publish", event)).receipt);
}

const entries = Object.entries(DATA);
const batch = entries.map(([name, data]) => make("batch", name, data));
const { receipts } = await call("PublishBatch", { events: batch });
if (receipts.length !== batch.length) throw new Error(JSON.stringify(receipts));
batch.forEach((event, index) => tell("batch", event, entries[index][1], receipts[index]));

// Answers come while events go.
const events = entries.map(([name, data]) => make("stream", name, data));
const stream = ingest.PublishStream(metadata, deadline());
const outcomes = [];
const ended = new Promise((resolve, reject) => {
  stream.on("data", (answer) => outcomes.push(...answer.outcomes));
  stream.on("end", resolve);
  stream.on("error", reject);
});
for (const event of events) {
  // `false`: the window is full, and it is the sender's turn to wait.
  if (!stream.write(event)) await new Promise((resolve) => stream.once("drain", resolve));
}
stream.end();
await ended;
if (outcomes.length !== events.length) throw new Error(JSON.stringify(outcomes));
events.forEach((event, index) => tell("stream", event, entries[index][1], outcomes[index].receipt));

const { type: _, ...wrong } = make("refused", "list", []);
try {
  await call("PublishBatch", { events: [make("refused", "text", ""), wrong] });
  throw new Error("an event without a type was taken");
} catch (error) {
  if (error.code === undefined) throw error;
  // The details are a google.rpc.Status; `google-gax` and others read it, here its presence is enough.
  const details = error.metadata.get("grpc-status-details-bin")[0];
  const field = String(details).match(/events\[\d+\]\.\w+/)?.[0];
  console.log(JSON.stringify({ mode: "refused", code: grpc.status[error.code], field, message: error.details }));
}
ingest.close();
