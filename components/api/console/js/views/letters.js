// Events that were given up: looked at, delivered again, or discarded.

import { json } from "../api.js";
import { h, show } from "../dom.js";
import { many } from "../format.js";
import { session } from "../session.js";
import { badge, blank, button, confirm, facts, field, jsonText, loaded, moment, told, storyLink } from "../ui.js";

const PAGE = 200;

export function letters({ signal }) {
  const place = h("div", {});
  const bar = h("div", { class: "bar row" });
  const words = h("input", { type: "search", placeholder: "a reason, a type, a consumer", spellcheck: "false" });
  const stage = h("select", {}, h("option", { value: "" }, "every stage"));
  const chosen = new Set();
  let all = [];
  let next = null;

  const text = (letter) => [letter.stage, letter.reason, letter.consumer, letter.event?.type, letter.event?.source, letter.event?.id].join(" ").toLowerCase();
  const wanted = () => all.filter((letter) => (!stage.value || letter.stage === stage.value) && text(letter).includes(words.value.trim().toLowerCase()));

  const fetched = async (after) => {
    const page = await json("/dead-letters", { query: { after, limit: PAGE }, signal });
    all = after ? all.concat(page.items) : page.items;
    next = page.next;
    for (const seq of chosen) if (!all.some((letter) => letter.seq === seq)) chosen.delete(seq);
    const stages = [...new Set(all.map((letter) => letter.stage))].sort();
    const kept = stage.value;
    show(stage, h("option", { value: "" }, "every stage"), stages.map((name) => h("option", { value: name, selected: name === kept }, name)));
    return drawn();
  };
  const load = () => loaded(place, "dead letters", () => fetched(0), signal);

  function drawn() {
    const shown = wanted();
    count();
    if (all.length === 0) return blank("No dead letters", "Every event came to a good end, or none came.");
    if (shown.length === 0) return blank("None that fits", "Look for less.");
    return [h("ol", { class: "tail letters bare", "aria-label": "Dead letters, oldest first" }, shown.map(row)),
      next ? h("div", { class: "more" }, button("Later ones", () => loaded(place, "dead letters", () => fetched(next), signal))) : null];
  }

  function row(letter) {
    const { event = {} } = letter;
    const body = h("div", { class: "stack" });
    const box = h("input", { type: "checkbox", checked: chosen.has(letter.seq), "aria-label": `Choose dead letter ${letter.seq}`, onchange: () => {
      if (box.checked) chosen.add(letter.seq);
      else chosen.delete(letter.seq);
      count();
    } });
    const sought = new URLSearchParams(location.hash.split("?")[1] ?? "").get("seq") === String(letter.seq);
    const details = h("details", { open: sought, ontoggle: () => { if (details.open && !body.hasChildNodes()) show(body, inside(letter)); } },
      h("summary", {}, moment(letter.time), badge(letter.stage, letter.stage === "policy" ? "warn" : "bad"), h("span", { class: "type" }, event.type ?? "no event"),
        h("span", { class: "from soft break" }, letter.reason)), body);
    return h("li", {}, session.current.writes ? box : null, details);
  }

  function inside(letter) {
    const { event } = letter;
    return [
      facts([["Place", String(letter.seq)], ["Reason", letter.reason], ["Attempts", letter.attempts], ["Consumer", letter.consumer ? h("code", {}, letter.consumer) : null],
        ["Policy", letter.revision], ["Event", event?.id ? h("a", { href: storyLink(event.source, event.id) }, `${event.source} · ${event.id}`) : null]]),
      event ? jsonText(event, "The event") : null,
      letter.original ? [h("h3", {}, "As it came"), jsonText(letter.original, "As it came")] : null,
      session.current.writes ? h("div", { class: "row" }, button("Redrive", () => redrive([letter.seq]), { tone: "tiny main" }), button("Discard", () => discard([letter.seq]), { tone: "tiny bad" })) : null,
    ];
  }

  function count() {
    const seqs = [...chosen];
    if (all.length === 0 || !session.current.writes) return show(bar);
    const shown = wanted().map(({ seq }) => seq);
    return show(bar, button(seqs.length ? "Choose none" : `Choose all ${shown.length}`, () => {
      if (seqs.length) chosen.clear();
      else for (const seq of shown) chosen.add(seq);
      show(place, drawn());
      bar.querySelector("button").focus();
    }), h("span", { class: "soft", role: "status" }, `${many(seqs.length, "dead letter")} chosen`),
    button("Redrive", () => redrive(seqs), { tone: "main", disabled: !seqs.length }), button("Discard", () => discard(seqs), { tone: "bad", disabled: !seqs.length }));
  }

  const done = async (sentence) => {
    told(sentence);
    chosen.clear();
    await load();
    // What was pressed is gone with its letter.
    document.querySelector("main h1")?.focus();
  };
  const redrive = (seqs) => confirm({
    title: `Deliver ${many(seqs.length, "dead letter")} again?`, text: "To the consumer that gave them up; those of other stages go the whole way again. What still fails comes back here.", yes: "Redrive",
    act: async () => {
      const { redriven, kept } = await json("/dead-letters:redrive", { method: "POST", body: { seqs } });
      await done(kept?.length ? `${many(redriven, "dead letter")} redriven; ${kept.length} stay: ${kept[0].reason}` : `${many(redriven, "dead letter")} redriven.`);
    },
  });
  const discard = (seqs) => confirm({
    title: `Discard ${many(seqs.length, "dead letter")} for good?`, text: "They can't be had back.", yes: "Discard", tone: "bad",
    act: async () => {
      const { discarded } = await json("/dead-letters:discard", { method: "POST", body: { seqs } });
      await done(`${many(discarded, "dead letter")} discarded.`);
    },
  });

  words.addEventListener("input", () => show(place, drawn()));
  stage.addEventListener("change", () => show(place, drawn()));
  load();
  return [
    h("div", { class: "head" }, h("div", {}, h("h1", { tabindex: "-1" }, "Dead letters"), h("p", {}, "Events that could not be normalized, stored or delivered, each with its reason, kept until somebody decides.")),
      button("Look again", () => load())),
    h("div", { class: "stack" },
      h("div", { class: "card" }, h("div", { class: "card-body" }, h("form", { class: "filters", onsubmit: (event) => event.preventDefault() }, field("Words", words), field("Stage", stage)))),
      h("section", { class: "card", "aria-label": "Dead letters" }, bar, place)),
  ];
}
