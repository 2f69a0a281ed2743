// A tenant's consumers: which there are, and how each does.

import { json, segment } from "../api.js";
import { h } from "../dom.js";
import { session } from "../session.js";
import { badge, blank, chip, loaded } from "../ui.js";
import { every } from "./overview.js";
import { holds } from "./consumer.js";

const EVERY_MS = 5_000;
const TONES = { running: "good", paused: "warn", checking: "info", deploying: "info", refused: "bad", failed: "bad", deleting: "warn" };

export const stateBadge = (state) => badge(state, TONES[state] ?? "");

export function consumers({ signal }) {
  const place = h("div", {});
  let shown = "";
  const refresh = () => loaded(place, "consumers", async () => {
    const { consumers: all } = await json("/consumers", { signal });
    // What did not change is not drawn again: whoever is in it stays there.
    const text = JSON.stringify(all);
    if (text === shown && place.hasChildNodes() && !place.querySelector(".problem, .loading")) return [...place.childNodes];
    shown = text;
    return all.length ? h("ul", { class: "cards bare" }, all.map((one) => card(one, refresh))) : h("div", { class: "card" },
      blank("No consumers yet", "A consumer is a component that gets this tenant's events. Upload one:",
        h("code", { class: "break" }, "curl -X PUT …/api/v1/consumers/NAME -H 'content-type: application/wasm' --data-binary @FILE")));
  }, signal);
  every(EVERY_MS, refresh, signal);
  return [
    h("div", { class: "head" }, h("div", {}, h("h1", { tabindex: "-1" }, "Consumers"), h("p", {}, "This tenant's own code: what runs, what waits, and why."))),
    place,
  ];
}

function card(one, refresh) {
  const types = one.spec?.types ?? [];
  return h("li", { class: "card consumer" },
    h("div", { class: "row" }, h("h2", {}, h("a", { href: `#/consumers/${segment(one.name)}` }, one.name)), stateBadge(one.state)),
    one.message ? h("p", { class: "small break" }, one.message) : null,
    h("p", { class: "small soft" }, `Version ${one.version}${one.deployed && one.deployed !== one.version ? `, of which ${one.deployed} runs` : ""} · gets `,
      types.length ? types.map((type) => [chip(type), " "]) : "every type"),
    session.current.writes ? h("div", { class: "row" }, holds(one, refresh)) : null);
}
