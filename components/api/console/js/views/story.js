// One event: what became of it from its arrival to its end, and what it says.

import { json, segment } from "../api.js";
import { h } from "../dom.js";
import { many } from "../format.js";
import { badge, blank, chip, facts, jsonText, loaded, moment, storyLink } from "../ui.js";

const ENDS = { stored: ["Stored", "good"], dropped: ["Dropped", "warn"], "dead-letter": ["Dead letter", "bad"] };
const STAGES = { normalizer: "could not be made a CloudEvent", rules: "was given up by a rule", store: "could not be stored", delivery: "could not be delivered", policy: "was kept back by a policy" };

export function story({ path: [source, id], signal }) {
  const place = h("div", { class: "stack" });
  loaded(place, "the story", async () => {
    const at = `/events/${segment(source)}/${segment(id)}`;
    const told = await json(`${at}/story`, { signal });
    const event = told.stored ? await json(at, { signal }) : null;
    return tell(told, event);
  }, signal);
  return [
    h("div", { class: "head" }, h("div", {}, h("p", { class: "crumb" }, h("a", { href: "#/events" }, "Events")),
      h("h1", { tabindex: "-1" }, id), h("p", { class: "break" }, "of ", h("code", {}, source)))),
    place,
  ];
}

function tell(told, event) {
  const [word, tone] = ENDS[told.end] ?? [told.end, ""];
  return [
    h("section", { class: "card", "aria-label": "What became of it" },
      h("div", { class: "card-head" }, h("h2", {}, "What became of it"), badge(word, tone)),
      h("div", { class: "card-body" }, h("ol", { class: "story bare" }, steps(told, event)))),
    event ? h("section", { class: "card", "aria-label": "The event" }, h("div", { class: "card-head" }, h("h2", {}, "The event")),
      h("div", { class: "card-body stack" }, facts([["Type", event.type], ["Subject", event.subject], ["Time", moment(event.time)], ["Emitted by", event.eremitter]]),
        jsonText(event, "The event as it is stored"))) : blank("It is not stored", "What is left of it is its dead letter, with the bytes that came."),
  ];
}

function steps(told, event) {
  const cause = told.made_from;
  const fired = told.rules?.fired ?? [];
  return [
    step("It came in", "info", [moment(event?.time ?? told.time),
      cause ? [" · made by a rule from ", h("a", { href: storyLink(cause.source ?? "", cause.id) }, cause.id)] : null,
      event?.eremitter ? [" · emitted by the consumer ", h("code", {}, event.eremitter)] : null]),
    told.rules ? step("Rules ran", "info", [`Version ${told.rules.version}; `,
      fired.length ? [`${many(fired.length, "rule")} fired: `, list(fired)] : "none fired."]) : null,
    told.tags?.length ? step("Tagged", "info", list(told.tags)) : null,
    told.routes?.length ? step("Routed", "info", ["To consumers of ", list(told.routes)]) : null,
    told.dropped ? step("Dropped", "warn", told.dropped) : null,
    told.stored ? step("Stored", "good", told.dropped ? "It can be found, and goes to no consumer." : "It can be found, and goes to the consumers that want it.") : null,
    (told.dead_letters ?? []).map((letter) => step("Dead letter", "bad", [
      `It ${STAGES[letter.stage] ?? `ended at ${letter.stage}`}`, letter.consumer ? [" to ", h("code", {}, letter.consumer)] : null,
      `, after ${many(letter.attempts ?? 1, "attempt")}: `, h("em", {}, letter.reason), " ",
      h("span", { class: "soft" }, moment(letter.time)), " · ", h("a", { href: `#/letters?seq=${letter.seq}` }, `dead letter ${letter.seq}`)])),
    told.complete ? null : step("Perhaps more", "info", "There are too many dead letters to look all of them through for this event."),
  ];
}

const list = (names) => names.map((name) => [chip(name), " "]);

function step(name, tone, content) {
  return h("li", { class: tone }, h("div", {}, h("h3", {}, name), h("div", { class: "break" }, content)));
}
