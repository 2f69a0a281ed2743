// One consumer: its state, versions and log; held, let go, and taken back.

import { ask, json, segment } from "../api.js";
import { h, show } from "../dom.js";
import { clock, many } from "../format.js";
import { session } from "../session.js";
import { badge, blank, button, chip, confirm, facts, field, loaded, moment, problem, table, told } from "../ui.js";
import { stateBadge } from "./consumers.js";
import { every } from "./overview.js";

const EVERY_MS = 3_000;
const LINES = 200;

export function consumer({ path: [name], signal }) {
  const state = h("div", { class: "stack" });
  const log = h("div", {});
  const trouble = h("div", {});
  let shown = "";
  let lines = "";
  const refresh = async () => {
    try {
      const one = await json(`/consumers/${segment(name)}`, { signal });
      const text = JSON.stringify(one);
      if (text !== shown) show(state, describe(one, refresh));
      shown = text;
      show(trouble);
    } catch (cause) {
      if (!signal.aborted) show(trouble, problem(cause));
    }
  };
  const read = async () => {
    try {
      const told = await json(`/consumers/${segment(name)}/logs`, { query: { limit: LINES }, signal });
      const text = JSON.stringify(told);
      if (text === lines) return;
      lines = text;
      const low = log.querySelector(".log");
      const atEnd = !low || low.scrollHeight - low.scrollTop - low.clientHeight < 40;
      show(log, written(told.lines));
      // Who reads further up stays there.
      const now = log.querySelector(".log");
      if (now) now.scrollTop = atEnd ? now.scrollHeight : low.scrollTop;
    } catch (cause) {
      if (!signal.aborted) show(log, problem(cause));
    }
  };
  every(EVERY_MS, refresh, signal);
  every(EVERY_MS, read, signal);
  return [
    h("div", { class: "head" }, h("div", {}, h("p", { class: "crumb" }, h("a", { href: "#/consumers" }, "Consumers")), h("h1", { tabindex: "-1" }, name))),
    h("div", { class: "stack" }, trouble, state,
      h("section", { class: "card", "aria-label": "Log" }, h("div", { class: "card-head" }, h("h2", {}, "Log"), h("span", { class: "soft small" }, `The last ${LINES} lines at most, newest below`)), log)),
  ];
}

function describe(one, refresh) {
  const { spec = {}, pause, lattice } = one;
  const list = (names, none) => (names?.length ? names.map((entry) => [chip(entry), " "]) : none);
  return [
    h("section", { class: "card", "aria-label": "State" },
      h("div", { class: "card-head" }, h("div", { class: "row" }, h("h2", {}, "State"), stateBadge(one.state)),
        session.current.writes ? h("div", { class: "row" }, holds(one, refresh)) : null),
      h("div", { class: "card-body stack" }, one.message ? h("p", { class: one.state === "refused" || one.state === "failed" ? "note break" : "break" }, one.message) : null,
        facts([
          ["Version", `${one.version}${one.deployed ? `, ${one.deployed} runs` : ", none runs"}`],
          ["In the lattice", lattice ? [lattice.status, lattice.message ? `: ${lattice.message}` : ""] : null],
          ["Held", pause ? [`by ${pause.by}, `, moment(pause.at), pause.strikes ? `, after ${many(pause.strikes, "failed call")}` : ""] : null],
          ["Types", list(spec.types, "every")], ["Routes", list(spec.routes, "none")],
          ["Attempts", spec.attempts_max], ["Batch", spec.batch_events_max ? many(spec.batch_events_max, "event") : null],
          ["Component", one.component ? h("code", {}, one.component) : null],
        ]))),
    h("section", { class: "card", "aria-label": "Versions" }, h("div", { class: "card-head" }, h("h2", {}, "Versions")),
      table("Versions, newest first", ["Version", "From", "By", "Component", "Note", { text: h("span", { class: "unseen" }, "Roll back") }], one.versions.toReversed().map((version) => h("tr", {},
        h("th", { scope: "row" }, String(version.version), " ", version.version === one.deployed ? badge("runs", "good") : null),
        h("td", {}, moment(version.at)), h("td", {}, version.by), h("td", {}, version.digest ? h("code", { title: version.digest }, version.digest.slice(0, 12)) : "–"),
        h("td", { class: "break" }, version.note ?? (version.tried ? "passed its trial" : "")),
        h("td", {}, version.version !== one.deployed && version.digest && session.current.writes ? back(one.name, version.version, refresh) : null))))),
  ];
}

function back(name, version, refresh) {
  return button(["Roll back", h("span", { class: "unseen" }, ` to version ${version}`)], () => confirm({
    title: `Roll ${name} back to version ${version}?`, text: "It is put in as a new version. No event is lost or handed over twice.", yes: "Roll back",
    act: async () => {
      const { version: now } = await json(`/consumers/${segment(name)}:rollback`, { method: "POST", body: { version } });
      told(`${name} is being rolled back, as version ${now}.`);
      await refresh();
    },
  }), { tone: "tiny" });
}

/** Pause, or resume. */
export function holds(one, refresh) {
  const act = async (what, body) => {
    await ask(`/consumers/${segment(one.name)}:${what}`, { method: "POST", body });
    told(what === "pause" ? `${one.name} is paused. What comes meanwhile waits.` : `${one.name} goes on with what waited.`);
    await refresh();
  };
  if (one.pause?.paused || one.state === "paused") {
    const fault = h("div", {});
    return [button(["Resume", h("span", { class: "unseen" }, ` ${one.name}`)], () => act("resume").catch((cause) => show(fault, problem(cause))), { tone: "main tiny" }), fault];
  }
  if (one.state !== "running") return null;
  return button(["Pause", h("span", { class: "unseen" }, ` ${one.name}`)], () => {
    const reason = h("input", { type: "text", maxlength: "500" });
    confirm({ title: `Pause ${one.name}?`, text: "It finishes the batch it is at. What comes meanwhile waits and is not lost.", yes: "Pause",
      extra: field("Reason", reason, "Optional; shown to whoever wonders."), act: () => act("pause", reason.value.trim() ? { reason: reason.value.trim() } : undefined) });
  }, { tone: "tiny" });
}

function written(lines) {
  if (lines.length === 0) return blank("Nothing was logged", "What it writes by wasi:logging is shown here, and what goes wrong in its calls.");
  const tones = { ERROR: "bad", WARN: "warn", INFO: "info", error: "bad", warn: "warn", info: "info" };
  return h("ol", { class: "log bare", tabindex: "0", "aria-label": "Log lines, oldest first" }, lines.map(({ at, level, message }) => h("li", {},
    h("time", { datetime: at, title: at }, clock(at)), badge(String(level).toLowerCase(), tones[level] ?? ""), h("span", { class: "break" }, message))));
}
