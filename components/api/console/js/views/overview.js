// How it goes: what comes now, by second; what came, by minute; and what wants looking at.

import { json, segment } from "../api.js";
import { h, show } from "../dom.js";
import { feed } from "../feed.js";
import { clock, compact, count, duration, many } from "../format.js";
import { Plot } from "../plot.js";
import { session } from "../session.js";
import { badge, loading, problem } from "../ui.js";

const MINUTE_MS = 60_000;
const SPAN = 60;
const EVERY_MS = 15_000;

export function overview({ signal }) {
  const rate = new Plot({
    label: "Events a second, now", empty: "No event in this minute", format: compact,
    series: [{ name: "events", label: "events/s" }],
  });
  const delay = new Plot({
    label: "From an event's time to this page", empty: "No event in this minute", format: (ms) => duration(ms),
    series: [{ name: "p50", label: "half within" }, { name: "p95", label: "95 % within" }],
  });
  const minutes = new Plot({
    label: "Events a minute, last hour", empty: "No event in this hour", format: compact, time: (at) => clock(at).slice(0, 5),
    series: [{ name: "events_in", label: "in" }, { name: "deliveries", label: "deliveries" }, { name: "events_out", label: "out" }],
  });
  const tiles = h("dl", { class: "tiles" }, loading("the state of things"));
  const trouble = h("div", {});
  const state = h("span", {});

  const drawLive = () => {
    const seconds = feed.seconds(SPAN);
    rate.draw(seconds);
    delay.draw(seconds);
    show(state, tailState());
  };
  every(1000, drawLive, signal);
  every(EVERY_MS, async () => {
    try {
      const [now, ...rest] = await Promise.all([byMinute(signal), ...health(signal)]);
      if (signal.aborted) return;
      minutes.draw(now);
      show(tiles, tilesOf(rest));
      show(trouble);
    } catch (cause) {
      if (!signal.aborted) show(trouble, problem(cause));
    }
  }, signal);

  return [
    h("div", { class: "head" }, h("div", {}, h("h1", { tabindex: "-1" }, "Overview"), h("p", {}, "What comes in now, and what wants looking at.")), state),
    h("div", { class: "stack" }, trouble, tiles,
      h("div", { class: "pair" }, card("Throughput", rate.element), card("Latency", delay.element,
        "Measured from each event's own time by this machine's clock: of events that carry no time it is the time they came in.")),
      card("The last hour", minutes.element, "As metered, so a minute is complete a few seconds after its end. Out: taken by consumers and by live tails, such as this page's.")),
  ];
}

function card(title, content, hint) {
  return h("section", { class: "card", "aria-label": title }, h("div", { class: "card-head" }, h("h2", {}, title)),
    h("div", { class: "card-body stack" }, content, hint ? h("p", { class: "soft small" }, hint) : null));
}

export function tailState() {
  if (feed.state === "live") return badge(feed.types ? `Live, only ${feed.types}` : "Live", "good");
  if (feed.state === "connecting") return badge("Connecting", "info");
  return badge(feed.state.title, "bad");
}

/** Now, and again each `ms`, until `signal` ends; not while nobody looks. */
export function every(ms, act, signal) {
  act();
  const timer = setInterval(() => { if (!document.hidden) act(); }, ms);
  signal.addEventListener("abort", () => clearInterval(timer), { once: true });
}

async function byMinute(signal) {
  const end = Math.floor(Date.now() / MINUTE_MS) * MINUTE_MS + MINUTE_MS;
  const from = end - SPAN * MINUTE_MS;
  const { rows } = await json(`/usage/${segment(session.current.tenant)}`, {
    named: true, signal, query: { window: "minute", from: new Date(from).toISOString(), meters: "events_in,events_out,deliveries" },
  });
  const all = new Map(Array.from({ length: SPAN }, (_, index) => {
    const at = from + index * MINUTE_MS;
    return [at, { at, events_in: 0, events_out: 0, deliveries: 0 }];
  }));
  for (const { window, meter, quantity } of rows) {
    const point = all.get(Date.parse(window.from));
    if (point) point[meter] = Number(quantity);
  }
  return [...all.values()];
}

function health(signal) {
  return [
    json("/dead-letters", { query: { limit: 1000 }, signal }), json("/consumers", { signal }), json("/rules", { signal }),
  ];
}

function tilesOf([letters, { consumers }, rules]) {
  const dead = letters.items.length;
  const off = consumers.filter(({ state }) => state !== "running");
  return [
    tile("Dead letters", `${count(dead)}${letters.next ? "+" : ""}`, dead ? badge("to look at", "warn") : badge("none", "good"), "#/letters"),
    tile("Consumers", count(consumers.length), consumers.length === 0 ? badge("none yet")
      : off.length ? badge(`${off.length} not running`, "warn") : badge("all run", "good"), "#/consumers"),
    tile("Rules", count(rules.rules), badge(rules.version ? `version ${rules.version}` : "none saved", rules.version ? "info" : ""), "#/rules"),
    tile("Seen by this page", count(feed.total), h("span", { class: "soft small" }, many(feed.events.length, "event"), " kept"), "#/events"),
  ];
}

function tile(name, value, note, href) {
  return h("div", { class: "card tile" }, h("dt", {}, h("a", { href }, name)), h("dd", {}, h("b", {}, value), note));
}
