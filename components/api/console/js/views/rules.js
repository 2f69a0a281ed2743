// A tenant's rule texts: written, tried on events of the last hours, saved, and taken back.

import { ask, json, segment } from "../api.js";
import { h, show } from "../dom.js";
import { Editor } from "../editor.js";
import { many } from "../format.js";
import { session } from "../session.js";
import { badge, blank, button, confirm, field, loaded, loading, moment, problem, segments, told } from "../ui.js";
import { trial } from "./trial.js";

const CHECK_AFTER_MS = 600;
const NEW = "new";
const FIRST = `rule BigOrder "large orders go the fast way" {
    when
        Event.type == "order.placed" && Event.data.total > 100
    then
        Tag("big");
        Route("fast-lane");
}
`;

export function rules({ path: [name], signal, guard }) {
  const list = h("div", {});
  const versions = h("div", {});
  const desk = h("div", { class: "stack" });
  const refresh = () => Promise.all([
    loaded(list, "rules", async () => texts(await json("/rules", { signal }), name), signal),
    loaded(versions, "versions", async () => history(await json("/rules:versions", { signal }), name), signal),
  ]);
  refresh();
  if (name) open(desk, name, { signal, guard, refresh });
  else show(desk, h("div", { class: "card" }, blank("No rule text is open", "Choose one, or write a new one.",
    h("a", { class: "button main", href: `#/rules/${NEW}` }, "Write a rule"))));
  return [
    h("div", { class: "head" }, h("div", {}, h("h1", { tabindex: "-1" }, "Rules"),
      h("p", {}, "What is done with each event before it is stored and delivered. A saved change is live for the next event.")),
    h("a", { class: "button", href: `#/rules/${NEW}` }, "New rule text")),
    h("div", { class: "split" },
      h("div", { class: "stack" }, h("section", { class: "card", "aria-label": "Rule texts" }, h("div", { class: "card-head" }, h("h2", {}, "Texts")), list),
        h("section", { class: "card", "aria-label": "Versions" }, h("div", { class: "card-head" }, h("h2", {}, "Versions")), versions)),
      desk),
  ];
}

function texts(set, open) {
  if (set.texts.length === 0) return blank("No rules yet", "Events pass as they are.");
  return h("ul", { class: "names bare" }, set.texts.map((name) =>
    h("li", {}, h("a", { href: `#/rules/${segment(name)}`, "aria-current": name === open ? "true" : null }, name))));
}

function history({ current, versions }, open) {
  if (versions.length === 0) return blank("Nothing was saved yet");
  return h("ol", { class: "versions bare", reversed: true, tabindex: "0", "aria-label": "Versions, newest first" }, versions.map((version) => h("li", {},
    h("div", { class: "row" }, h("strong", {}, `Version ${version.version}`), version.version === current ? badge("counts", "good") : null),
    h("p", { class: "small break" }, version.change, h("span", { class: "soft" }, ` · ${many(version.rules, "rule")} · by ${version.by} · `), moment(version.time)),
    version.version !== current && session.current.writes ? button(["Roll back", h("span", { class: "unseen" }, ` to version ${version.version}`)], () => confirm({
      title: `Roll back to version ${version.version}?`, text: `Its ${many(version.texts.length, "text")} become a new version, which counts from the next event on.`, yes: "Roll back",
      act: async () => {
        const { version: now, texts } = await json("/rules:rollback", { method: "POST", body: { version: version.version } });
        told(`Version ${now} counts, with the rules of version ${version.version}.`);
        if (open && open !== NEW && !texts.includes(open)) location.hash = "#/rules";
        else dispatchEvent(new HashChangeEvent("hashchange"));
      },
    }), { tone: "tiny" }) : null)));
}

// === one text ===

async function open(desk, name, context) {
  show(desk, loading(name === NEW ? "the editor" : name));
  try {
    if (name === NEW) return draw(desk, { name: "", text: FIRST, language: "grl", etag: null, saved: "" }, context);
    const answer = await ask(`/rules/${segment(name)}`, { signal: context.signal });
    const text = await answer.text();
    const language = (answer.headers.get("content-type") ?? "").includes("json") ? "json" : "grl";
    draw(desk, { name, text, language, etag: answer.headers.get("etag"), saved: text }, context);
  } catch (cause) {
    if (!context.signal.aborted) show(desk, problem(cause));
  }
  return undefined;
}

function draw(desk, file, { signal, guard, refresh }) {
  const fault = h("div", {});
  const result = h("div", {});
  const named = h("input", { type: "text", value: file.name, spellcheck: "false", autocapitalize: "none", placeholder: "orders" });
  let timer;
  let asked = 0;
  const editor = new Editor({ label: file.name ? `Text of the rules ${file.name}` : "Text of the new rules", changed: () => {
    clearTimeout(timer);
    timer = setTimeout(check, CHECK_AFTER_MS);
  } });
  signal.addEventListener("abort", () => clearTimeout(timer), { once: true });
  guard(() => editor.text !== (file.saved || (file.name ? "" : FIRST)) && editor.text !== "");

  const body = (events) => ({ ...(editor.language === "json" ? { json_rules: parsed(editor.text) } : { rules: editor.text }), ...events });
  /** Compiles, and tries nothing. An answer that a later one overtook is of an older text. */
  async function check() {
    const turn = (asked += 1);
    try {
      const { rules } = await json("/rules:test", { method: "POST", body: body({ events: [] }), signal });
      if (turn === asked) editor.mark([], `No mistake in ${many(rules, "rule")}.`);
    } catch (cause) {
      if (turn === asked && !signal.aborted) wrong(cause, false);
    }
  }
  /** Mistakes go to their places; what is no mistake of the text is told below. */
  function wrong(cause, loud = true) {
    // The set is compiled as one: a mistake may be another text's, which only the problem tells.
    const here = ["", "rules", file.name || named.value.trim()];
    const listed = (cause.errors ?? []).filter((mistake) => here.includes(mistake.text ?? ""));
    const mistakes = cause.errors?.length ? listed : cause.at ? [{ ...cause.at, message: cause.detail, expected: "" }] : [];
    if (mistakes.length) editor.mark(mistakes);
    if (loud || !mistakes.length) show(fault, problem(cause));
    if (loud && mistakes.length) editor.go(mistakes[0]);
  }
  async function save() {
    clearTimeout(timer);
    asked += 1;
    show(fault);
    const name = file.name || named.value.trim();
    if (!name) {
      show(fault, problem({ title: "The text has no name", detail: "A rule text is saved under a name.", mend: "Name it, with letters, digits, - and _ ." }));
      return named.focus();
    }
    const text = editor.text;
    try {
      // A new one takes no other's place.
      const headers = file.etag ? { "if-match": file.etag } : { "if-none-match": "*" };
      const type = editor.language === "json" ? "application/json" : "text/plain; charset=utf-8";
      const answer = await ask(`/rules/${segment(name)}`, { method: "PUT", body: text, type, headers });
      const { version, rules } = await answer.json();
      file.saved = text;
      told(`Saved as version ${version}: ${many(rules, "rule")} count from the next event on.`);
      if (!file.name) location.hash = `#/rules/${segment(name)}`;
      else {
        file.etag = answer.headers.get("etag");
        editor.mark([], `Saved as version ${version}.`);
        await refresh();
      }
    } catch (cause) {
      wrong(cause);
    }
    return undefined;
  }
  let last = "20";
  async function attempt() {
    show(fault);
    await loaded(show(result), "the trial", async () => {
      try {
        return trial(await json("/rules:test", { method: "POST", body: body({ last: Number(last) }), signal }));
      } catch (cause) {
        wrong(cause);
        return null;
      }
    }, signal);
    result.querySelector("h2")?.focus();
  }
  const remove = () => confirm({
    title: `Delete the rules ${file.name}?`, text: "They stop counting for the next event. The versions before keep them.", yes: "Delete", tone: "bad",
    act: async () => {
      await ask(`/rules/${segment(file.name)}`, { method: "DELETE" });
      file.saved = editor.text;
      told(`The rules ${file.name} are deleted.`);
      location.hash = "#/rules";
    },
  });
  desk.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey)) return;
    if (event.key === "s" && session.current.writes) { event.preventDefault(); save(); }
    if (event.key === "Enter") { event.preventDefault(); attempt(); }
  }, { signal });

  editor.open(file.text, file.language);
  show(desk, h("section", { class: "card", "aria-label": "Editor" },
    h("div", { class: "card-head" }, h("h2", { class: "break" }, file.name || "New rule text"),
      h("div", { class: "row" }, file.name && session.current.writes ? button("Delete", remove, { tone: "tiny bad" }) : null)),
    h("div", { class: "card-body stack" }, file.name ? null : field("Name", named, "The text's own; its rules have theirs."), editor.element, fault,
      h("div", { class: "row" },
        session.current.writes ? button("Save", save, { tone: "main", "aria-keyshortcuts": "Control+S" }) : h("p", { class: "note" }, "This key may look only: rules are tried here, and saved by an admin."),
        button("Try it", attempt, { "aria-keyshortcuts": "Control+Enter" }),
        h("span", { class: "soft small" }, "on the last"), segments("How many events to try it on", [["5", "5"], ["20", "20"], ["100", "100"]], last, (value) => { last = value; }),
        h("span", { class: "soft small" }, "events. "), h("span", { class: "soft small keys" }, h("kbd", {}, "Ctrl S"), " saves, ", h("kbd", {}, "Ctrl Enter"), " tries")))),
  result);
  check();
}

/** JSON rules go as JSON; what is no JSON goes as it is, for the API to say where it is wrong. */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
