// The live tail, filtered, and the way to any stored event.

import { json } from "../api.js";
import { h, say, show } from "../dom.js";
import { feed } from "../feed.js";
import { clock, duration, many } from "../format.js";
import { badge, blank, button, chip, field, jsonText, loaded, moment, problem, segments, storyLink } from "../ui.js";
import { tailState } from "./overview.js";

const SHOWN = 200;
const SAY_EVERY_MS = 15_000;
const PAGE = 50;

export function events({ signal }) {
  const body = h("div", { class: "stack" });
  const state = h("span", {});
  let inner = null;
  const choose = (which) => {
    inner?.abort();
    inner = new AbortController();
    const both = AbortSignal.any([signal, inner.signal]);
    show(body, which === "live" ? live(both, state) : stored(both));
    state.hidden = which !== "live";
  };
  const tabs = segments("Which events", [["live", "Live"], ["stored", "Stored"]], "live", choose);
  choose("live");
  return [
    h("div", { class: "head" }, h("div", {}, h("h1", { tabindex: "-1" }, "Events"), h("p", {}, "As they come, or as they are stored, newest first.")),
      h("div", { class: "row" }, state, tabs)),
    body,
  ];
}

// === live ===

function live(signal, state) {
  const rows = h("ol", { class: "tail bare", "aria-label": "Events, newest first" });
  const trouble = h("div", {});
  const waiting = h("div", {});
  const types = h("input", { type: "text", value: feed.types, placeholder: "order.*, alert", spellcheck: "false", autocapitalize: "none" });
  const words = h("input", { type: "search", placeholder: "acme, 42, \"total\":1", spellcheck: "false" });
  const hold = h("button", { type: "button", class: "button", "aria-pressed": "false" }, "Hold");
  const counted = h("p", { class: "soft small number" });
  let held = false;
  let missed = 0;

  const wanted = ({ text }) => words.value.trim().toLowerCase().split(/\s+/).every((word) => text.toLowerCase().includes(word));
  const redraw = () => {
    missed = 0;
    show(rows, feed.events.filter(wanted).slice(0, SHOWN).map(row));
    tell();
  };
  const tell = () => {
    counted.textContent = held ? `${many(missed, "event")} since` : `${many(rows.children.length, "event")} shown`;
    show(waiting, rows.children.length ? null : blank(
      feed.events.length && words.value ? "No event that came has these words" : "No event yet",
      "Events are listed here as they come, from when this page was opened."));
  };
  hold.addEventListener("click", () => {
    held = !held;
    hold.setAttribute("aria-pressed", String(held));
    hold.textContent = held ? "Go on" : "Hold";
    if (!held) redraw();
    say(held ? "The list stands still." : "The list goes on.");
  });
  words.addEventListener("input", redraw);
  const form = h("form", { class: "filters", onsubmit: (event) => {
    event.preventDefault();
    feed.events = [];
    feed.start(types.value.split(",").map((type) => type.trim()).filter(Boolean).join(","));
    redraw();
    say(types.value.trim() ? `Only events of ${types.value.trim()} from now on.` : "All events from now on.");
  } },
  field("Types", types, "Asked of the platform; a * at the end stands for anything."), field("Words", words, "Looked for in what came."),
  h("div", { class: "row" }, h("button", { type: "submit", class: "button main" }, "Filter"), hold));

  let said = Date.now();
  let unsaid = 0;
  feed.watch((came) => {
    show(state, tailState());
    show(trouble, typeof feed.state === "string" ? null : problem(feed.state));
    const mine = came.filter(wanted);
    if (mine.length === 0) return;
    unsaid += mine.length;
    if (Date.now() - said > SAY_EVERY_MS) {
      // Whoever listens hears that events come, and not each of them.
      show(spoken, `${many(unsaid, "new event")}.`);
      [said, unsaid] = [Date.now(), 0];
    }
    if (held) missed += mine.length;
    else {
      rows.prepend(...mine.slice(-SHOWN).reverse().map(row));
      trim(rows);
    }
    tell();
  }, signal);
  const spoken = h("p", { class: "unseen", "aria-live": "polite" });
  show(state, tailState());
  redraw();
  return [trouble, h("div", { class: "card" }, h("div", { class: "card-body" }, form)),
    h("section", { class: "card", "aria-label": "Live tail" }, h("div", { class: "card-head" }, h("h2", {}, "Live tail"), counted), rows, waiting), spoken];
}

/** What somebody has opened or is in stays where it is. */
function trim(rows) {
  while (rows.children.length > SHOWN) {
    const last = rows.lastElementChild;
    if (last.contains(document.activeElement)) return;
    last.remove();
  }
}

function row({ event, seen, delay }) {
  const body = h("div", {});
  return h("li", {}, h("details", { ontoggle: (toggled) => {
    if (toggled.target.open && !body.hasChildNodes()) {
      show(body, jsonText(event, `Event ${event.id}`), h("p", {}, h("a", { href: storyLink(event.source, event.id) }, "Its whole story")));
    }
  } },
  h("summary", {},
    h("time", { class: "mono", datetime: new Date(seen).toISOString() }, clock(seen, true)),
    h("span", { class: "type" }, event.type), h("span", { class: "from soft break" }, event.source, " · ", event.id), marks(event),
    delay === null ? null : h("span", { class: "soft number late" }, duration(delay), h("span", { class: "unseen" }, " after its time"))),
  body));
}

function marks(event) {
  const tags = (event.ertags ?? "").split(",").filter(Boolean);
  return h("span", { class: "marks" }, tags.map(chip), event.erdropped ? badge("dropped", "warn") : null);
}

// === stored ===

function stored(signal) {
  const type = h("input", { type: "text", placeholder: "order.*", spellcheck: "false" });
  const source = h("input", { type: "text", placeholder: "/shop", spellcheck: "false" });
  const id = h("input", { type: "text", placeholder: "with a source: that one event", spellcheck: "false" });
  const place = h("div", {});
  const list = (cursor, done = []) => loaded(place, "events", async () => {
    const query = { type: type.value.trim(), source: source.value.trim(), cursor, limit: PAGE };
    const page = await json("/events", { query, signal });
    const all = done.concat(page.events);
    if (all.length === 0) return blank("No event is stored that fits", "Send one, or ask for less.");
    return [h("ol", { class: "tail bare" }, all.map(storedRow)),
      page.cursor ? h("div", { class: "more" }, button("Older ones", () => list(page.cursor, all))) : null];
  }, signal);
  const form = h("form", { class: "filters three", onsubmit: (event) => {
    event.preventDefault();
    if (id.value.trim() && source.value.trim()) location.hash = storyLink(source.value.trim(), id.value.trim());
    else { show(place); list(); }
  } }, field("Type", type), field("Source", source), field("Id", id), h("button", { type: "submit", class: "button main" }, "Look"));
  list();
  return [h("div", { class: "card" }, h("div", { class: "card-body" }, form)),
    h("section", { class: "card", "aria-label": "Stored events" }, h("div", { class: "card-head" }, h("h2", {}, "Stored events")), place)];
}

function storedRow(event) {
  return h("li", {}, h("a", { class: "line", href: storyLink(event.source, event.id) },
    moment(event.time), h("span", { class: "type" }, event.type), h("span", { class: "from soft break" }, event.source, " · ", event.id), marks(event)));
}
