// Pieces that more than one view has.

import { layOut } from "./api.js";
import { fresh, h, say, show, svg } from "./dom.js";
import { when } from "./format.js";

// === state ===

const SIGNS = { good: "●", warn: "◐", bad: "▲", info: "◆", "": "○" };

export function badge(word, tone = "") {
  return h("span", { class: `badge ${tone}` }, h("span", { "aria-hidden": "true" }, SIGNS[tone]), h("span", {}, word));
}

export const chip = (text) => h("span", { class: "chip" }, text);

/** A time, short; the whole of it when pointed at. */
export function moment(time) {
  return time ? h("time", { datetime: time, title: time }, when(time)) : h("span", { class: "soft" }, "not known");
}

// === nothing here, not yet here, not to be had ===

export const loading = (what) => h("div", { class: "loading", role: "status" }, `Loading ${what} …`);

export function blank(title, ...more) {
  return h("div", { class: "blank" }, h("strong", {}, title), more.map((part) => (typeof part === "string" ? h("p", {}, part) : part)));
}

/** What the API said went wrong, and its mend. */
export function problem(cause, again) {
  return h("div", { class: "problem", role: "alert" },
    h("strong", {}, cause.title ?? "Something in this page went wrong"),
    cause.detail || !cause.title ? h("p", {}, cause.detail || String(cause.message ?? cause)) : null,
    cause.mend ? h("p", { class: "mend" }, cause.mend) : null,
    cause.status ? h("p", { class: "slug" }, h("code", {}, `${cause.status} ${cause.slug ?? ""}`.trim()),
      cause.retryable ? " · may be tried again as it is" : "") : null,
    again ? h("div", { class: "row" }, button("Try again", again)) : null);
}

/** Fills `place` with what `load` gives, by way of loading and, if need be, the problem. */
export async function loaded(place, what, load, signal) {
  if (!place.hasChildNodes()) show(place, loading(what));
  place.setAttribute("aria-busy", "true");
  try {
    const content = await load();
    if (!signal?.aborted) show(place, content);
  } catch (cause) {
    if (signal?.aborted) return;
    show(place, problem(cause, () => { show(place); return loaded(place, what, load, signal); }));
  } finally {
    place.removeAttribute("aria-busy");
  }
}

// === things to press ===

/** A button; busy, and not to be pressed again, while what it does goes on. */
export function button(label, act, { tone = "", ...more } = {}) {
  return h("button", {
    type: "button", class: `button ${tone}`, ...more,
    onclick: async (event) => {
      const self = event.currentTarget;
      if (self.getAttribute("aria-busy") === "true") return;
      const done = act(event);
      if (!(done instanceof Promise)) return;
      self.setAttribute("aria-busy", "true");
      try {
        await done;
      } finally {
        self.removeAttribute("aria-busy");
      }
    },
  }, label);
}

/** One of several, as buttons that are pressed or not. */
export function segments(label, options, chosen, choose) {
  const buttons = options.map(([value, text]) => h("button", {
    type: "button", "aria-pressed": String(value === chosen),
    onclick: () => {
      buttons.forEach((other, index) => other.setAttribute("aria-pressed", String(options[index][0] === value)));
      choose(value);
    },
  }, text));
  return h("div", { class: "segments", role: "group", "aria-label": label }, buttons);
}

export function field(label, input, hint) {
  const id = input.id || fresh("field");
  input.id = id;
  const said = hint ? h("span", { class: "hint", id: `${id}-hint` }, hint) : null;
  if (said) input.setAttribute("aria-describedby", said.id);
  return h("div", { class: "field" }, h("label", { for: id }, label), input, said);
}

/** Asks before something is done that can't be undone, and shows what went wrong in the same place. */
export function confirm({ title, text, yes, tone = "main", act, extra }) {
  const id = fresh("ask");
  const fault = h("div", {});
  const before = document.activeElement;
  const go = button(yes, async () => {
    show(fault);
    try {
      await act();
      dialog.close();
    } catch (cause) {
      show(fault, problem(cause));
    }
  }, { tone });
  const dialog = h("dialog", { "aria-labelledby": id, onclose: () => { dialog.remove(); if (before?.isConnected) before.focus(); } },
    h("form", { method: "dialog", onsubmit: (event) => { event.preventDefault(); go.click(); } },
      h("h2", { id }, title), text ? h("p", { class: "soft" }, text) : null, extra, fault,
      h("div", { class: "row end" }, button("Cancel", () => dialog.close()), go)));
  document.body.append(dialog);
  dialog.showModal();
}

export const told = (text) => say(text);

// === data ===

export function table(caption, heads, rows) {
  return h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": caption },
    h("table", {}, h("caption", { class: "unseen" }, caption),
      h("thead", {}, h("tr", {}, heads.map((head) => h("th", { scope: "col", class: head.number ? "number" : null }, head.text ?? head)))),
      h("tbody", {}, rows)));
}

export function facts(pairs) {
  return h("dl", { class: "facts" }, pairs.filter(([, value]) => value !== null && value !== undefined)
    .map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)]));
}

const TOKEN = /("(?:[^"\\]|\\.)*")(\s*:)?|(-?\d[\d.eE+-]*)|\b(true|false|null)\b/g;

/** JSON, laid out and coloured. */
export function jsonText(value, label = "JSON") {
  const text = typeof value === "string" ? value : layOut(value);
  const pieces = [];
  let end = 0;
  for (const match of text.matchAll(TOKEN)) {
    const [all, string, colon, number] = match;
    const kind = string ? (colon ? "key" : "text") : number ? "num" : "word";
    pieces.push(text.slice(end, match.index), h("span", { class: kind }, string ?? all), colon ?? "");
    end = match.index + all.length;
  }
  return h("pre", { class: "json", tabindex: "0", role: "region", "aria-label": label }, pieces, text.slice(end));
}

const DRAWN = {
  overview: "M3 17l5-6 4 3 6-8M3 20h18", events: "M4 6h16M4 12h10M4 18h13", rules: "M5 5h9M5 12h14M5 19h6M17 3v4M15 17l2 2 4-4",
  consumers: "M4 7l8-4 8 4v10l-8 4-8-4zM4 7l8 4 8-4M12 11v10", letters: "M3 6h18v13H3zM3 7l9 7 9-7", usage: "M5 20V10M12 20V4M19 20v-7",
};

export function icon(name) {
  return svg("svg", { viewBox: "0 0 24 24", "aria-hidden": "true", fill: "none", stroke: "currentColor", "stroke-width": "1.8",
    "stroke-linecap": "round", "stroke-linejoin": "round" }, svg("path", { d: DRAWN[name] }));
}

/** Where the whole story of an event is told. */
export const storyLink = (source, id) => `#/events/${encodeURIComponent(source)}/${encodeURIComponent(id)}`;
