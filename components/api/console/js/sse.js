// Server-sent events over fetch. EventSource would be simpler, and can't send the header that the key goes in.

import { address, Problem, refusal } from "./api.js";
import { session } from "./session.js";

const RETRY_MS = 1_000;
const RETRY_MS_MAX = 15_000;

/** Takes text in whatever pieces it comes, and gives the blocks that became whole: `{id, event, data, retry}`. */
export class Blocks {
  #rest = "";

  take(text) {
    const lines = (this.#rest + text).replace(/\r\n/g, "\n");
    const whole = lines.split("\n\n");
    this.#rest = whole.pop();
    return whole.map(block);
  }
}

function block(text) {
  const fields = { id: null, event: "message", data: [], retry: null };
  for (const line of text.split("\n")) {
    const at = line.indexOf(":");
    if (at === 0) continue; // A comment.
    const name = at < 0 ? line : line.slice(0, at);
    const value = at < 0 ? "" : line.slice(at + 1).replace(/^ /, "");
    if (name === "data") fields.data.push(value);
    else if (name in fields) fields[name] = value;
  }
  return { ...fields, data: fields.data.join("\n"), retry: fields.retry === null ? null : Number(fields.retry) };
}

/**
 * Follows the tail until `signal` ends it. The API ends each answer after some 20 s, and whoever comes back with the last
 * position misses nothing. `onState`: "connecting", "live", or a Problem that it waits to get over.
 */
export async function follow({ types, signal, onEvents, onState }) {
  let position = null;
  let wait = RETRY_MS;
  onState("connecting");
  while (!signal.aborted) {
    try {
      const answer = await open(types, position, signal);
      onState("live");
      let pause = 0;
      await read(answer, signal, (blocks) => {
        wait = RETRY_MS;
        for (const { id, retry } of blocks) {
          if (id !== null) position = id;
          if (retry !== null && retry > 1_000) pause = retry; // Told to come back later: a part is away.
        }
        const events = blocks.filter(({ data }) => data !== "");
        if (events.length > 0) onEvents(events);
      });
      if (pause) await sleep(pause, signal);
    } catch (cause) {
      if (signal.aborted) return;
      const lost = cause instanceof Problem ? cause : new Problem({
        title: "The tail was cut off", detail: cause.message, mend: "It is taken up again by itself, where it was.",
      });
      onState(lost);
      if (lost.status >= 400 && lost.status < 500 && lost.status !== 429) return; // It would be refused again.
      await sleep(wait, signal);
      wait = Math.min(2 * wait, RETRY_MS_MAX);
    }
  }
}

async function open(types, position, signal) {
  const headers = { authorization: `Bearer ${session.current?.key ?? ""}`, accept: "text/event-stream" };
  if (position !== null) headers["last-event-id"] = position;
  const answer = await fetch(address("/tail", { types }), { headers, signal, cache: "no-store", credentials: "omit" });
  if (!answer.ok) throw await refusal(answer);
  return answer;
}

async function read(answer, signal, take) {
  const blocks = new Blocks();
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  while (!signal.aborted) {
    const { value, done } = await reader.read();
    if (done) return;
    const whole = blocks.take(value);
    if (whole.length > 0) take(whole);
  }
}

const sleep = (ms, signal) => new Promise((resolve) => {
  const timer = setTimeout(resolve, ms);
  signal.addEventListener("abort", () => { clearTimeout(timer); resolve(); }, { once: true });
});
