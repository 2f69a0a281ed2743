// What rules would have done to each of the events they were tried on.

import { h } from "../dom.js";
import { count, duration, many } from "../format.js";
import { badge, blank, chip, jsonText, storyLink } from "../ui.js";

const OUTCOMES = { pass: ["passes", "good"], drop: ["dropped", "warn"], "dead-letter": ["dead letter", "bad"] };

export function trial({ rules, events }) {
  const fired = events.filter((event) => event.fired.length > 0).length;
  return h("section", { class: "card", "aria-label": "What it would do" },
    h("div", { class: "card-head" }, h("h2", { tabindex: "-1" }, "What it would do"),
      h("span", { class: "soft small" }, `${many(rules, "rule")} on ${many(events.length, "event")}: ${count(fired)} touched. Nothing was saved or sent.`)),
    events.length ? h("ol", { class: "tail bare" }, events.map(one)) : blank("There is no event to try it on", "Rules are tried on stored events, and none is stored yet."));
}

function one(tried) {
  const [word, tone] = OUTCOMES[tried.outcome] ?? [tried.outcome, ""];
  const { event } = tried;
  return h("li", {}, h("details", {},
    h("summary", {}, badge(word, tone), h("span", { class: "type" }, event.type), h("span", { class: "from soft break" }, event.source, " · ", event.id),
      h("span", { class: "marks" }, [...new Set(tried.fired)].map(chip)), h("span", { class: "soft number late" }, duration(tried.took_us / 1000))),
    h("div", { class: "stack" },
      tried.reason ? h("p", {}, tried.reason) : null,
      h("ul", { class: "why bare" }, tried.explanation.map(why)),
      tried.emitted.length ? [h("h3", {}, many(tried.emitted.length, "event") + " made"), tried.emitted.map((made) => jsonText(made, "An event that was made"))] : null,
      tried.logged.length ? [h("h3", {}, "Logged"), h("ul", { class: "bare" }, tried.logged.map((line) => h("li", {}, h("code", {}, line))))] : null,
      h("h3", {}, "The event afterwards"), jsonText(event, "The event afterwards"),
      h("p", {}, h("a", { href: storyLink(event.source, event.id) }, "What became of it in truth")))));
}

/** Why a rule fired or did not: the first part of its condition that did not hold, and what it read. */
function why({ rule, matched, fired, first_false: part }) {
  if (matched) return h("li", {}, badge("matched", "good"), " ", h("strong", {}, rule), ` fired ${many(fired, "time")}.`);
  return h("li", {}, badge("no match"), " ", h("strong", {}, rule), part ? [": ", h("code", {}, part.text), ` (line ${part.line}) is not so. `,
    part.error ? h("span", {}, part.error) : part.values.map(([path, value]) => [h("code", {}, path), value === null ? " is not there; " : [" is ", h("code", {}, value), "; "]])] : ".");
}
