// What the live tail brought, kept for whoever draws it: the last events, and by second how many came and how long after
// their own time. One connection for the whole page.

import { parse } from "./api.js";
import { follow } from "./sse.js";

const KEPT = 500;
const SECONDS = 120;
/** Delays of one second that are kept to tell percentiles from. */
const DELAYS = 500;
/** Older ones were sent with a time of their own making, or replayed: they say nothing about the way here. */
const DELAY_MS_MAX = 60_000;

export class Feed {
  types = "";
  state = "connecting";
  events = [];
  total = 0;
  #seconds = new Map();
  #watchers = new Set();
  #end = null;

  start(types = this.types) {
    this.#end?.abort();
    this.#end = new AbortController();
    this.types = types;
    const { signal } = this.#end;
    follow({
      types, signal,
      onEvents: (blocks) => { if (!signal.aborted) this.#take(blocks, Date.now()); },
      onState: (state) => { if (!signal.aborted) { this.state = state; this.#tell([]); } },
    });
  }

  stop() {
    this.#end?.abort();
    this.#watchers.clear();
    this.events = [];
    this.total = 0;
    this.#seconds.clear();
    this.types = "";
  }

  /** Calls `watcher(new events)` after each change, until `signal` ends. */
  watch(watcher, signal) {
    this.#watchers.add(watcher);
    signal.addEventListener("abort", () => this.#watchers.delete(watcher), { once: true });
  }

  /** The last `span` whole seconds, oldest first: `{at, events, p50, p95}`; without events no percentiles. */
  seconds(span = 60, now = Date.now()) {
    const end = Math.floor(now / 1000);
    return Array.from({ length: span }, (_, index) => {
      const second = end - span + index;
      const { events = 0, delays = [] } = this.#seconds.get(second) ?? {};
      const sorted = delays.toSorted((a, b) => a - b);
      return { at: second * 1000, events, p50: percentile(sorted, 0.5), p95: percentile(sorted, 0.95) };
    });
  }

  #take(blocks, now) {
    const came = blocks.map(({ data }) => entry(data, now)).filter(Boolean);
    const second = this.#second(Math.floor(now / 1000));
    for (const { delay } of came) {
      second.events += 1;
      if (delay !== null && second.delays.length < DELAYS) second.delays.push(delay);
    }
    this.total += came.length;
    this.events = came.toReversed().concat(this.events).slice(0, KEPT);
    this.#tell(came);
  }

  #second(second) {
    if (!this.#seconds.has(second)) {
      this.#seconds.set(second, { events: 0, delays: [] });
      for (const old of this.#seconds.keys()) if (old < second - SECONDS) this.#seconds.delete(old);
    }
    return this.#seconds.get(second);
  }

  #tell(came) {
    for (const watcher of this.#watchers) watcher(came);
  }
}

/** An event as it is listed. `delay`: milliseconds from its own time until it was here, by both clocks. */
function entry(text, now) {
  try {
    const event = parse(text);
    const delay = now - Date.parse(event.time);
    return { event, text, seen: now, delay: delay >= -2_000 && delay < DELAY_MS_MAX ? Math.max(0, delay) : null };
  } catch {
    return null; // A defect of the API's; the next event may be readable.
  }
}

export function percentile(sorted, part) {
  return sorted.length === 0 ? null : sorted[Math.min(sorted.length - 1, Math.floor(part * sorted.length))];
}

export const feed = new Feed();
