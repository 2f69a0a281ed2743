// A text with numbered lines, colours, and mistakes where they are: a mark at the line, a wave under the word, and the
// list of them below, which leads back to the place. It is a textarea, so that everything works that works in one; Tab
// moves on as everywhere, and Enter keeps the indentation.

import { fresh, h, show } from "./dom.js";
import { many } from "./format.js";
import { indexOf, pieces, wordAt } from "./grl.js";

export class Editor {
  language = "grl";
  mistakes = [];
  #lines = 0;

  /** `changed(text)` is called after each change by the writer. */
  constructor({ label, changed }) {
    const listed = fresh("mistakes");
    this.numbers = h("div", { class: "gutter", "aria-hidden": "true" });
    this.behind = h("pre", { class: "behind", "aria-hidden": "true" });
    this.area = h("textarea", {
      "aria-label": label, "aria-describedby": listed, spellcheck: "false", autocapitalize: "none", autocomplete: "off", wrap: "off", rows: "16",
      oninput: () => { this.#forget(); this.#draw(); changed(this.text); },
      onscroll: () => this.#follow(),
      onkeydown: (event) => this.#key(event),
    });
    this.list = h("ol", { class: "mistakes bare" });
    this.summary = h("p", { class: "soft small", role: "status" });
    this.box = h("div", { class: "editor" }, this.numbers, h("div", { class: "sheet" }, this.behind, this.area));
    this.element = h("div", {}, this.box, h("div", { id: listed, class: "below" }, this.summary, this.list));
  }

  get text() {
    return this.area.value;
  }

  open(text, language = "grl") {
    this.language = language;
    this.area.value = text;
    this.mark([]);
    this.area.scrollTop = 0;
    this.area.setSelectionRange(0, 0);
    this.#follow();
  }

  /** Shows mistakes as the API tells them: `{line, column, message, expected}`. `said`: in words, when there are none. */
  mark(mistakes, said = "") {
    this.mistakes = mistakes;
    if (mistakes.length) this.area.setAttribute("aria-invalid", "true");
    else this.area.removeAttribute("aria-invalid");
    this.box.classList.toggle("wrong", mistakes.length > 0);
    this.summary.textContent = mistakes.length ? many(mistakes.length, "mistake") : said;
    show(this.list, mistakes.map((mistake) => h("li", {}, h("button", { type: "button", onclick: () => this.go(mistake) },
      h("span", { class: "place" }, `Line ${mistake.line}, column ${mistake.column}`),
      h("span", {}, mistake.message, mistake.expected ? h("span", { class: "soft" }, ` Expected: ${mistake.expected}.`) : null)))));
    this.#lines = 0;
    this.#draw();
  }

  /** Puts the cursor where a mistake is. */
  go({ line, column }) {
    const [from, to] = wordAt(this.text, indexOf(this.text, line, column));
    this.area.focus();
    this.area.setSelectionRange(from, Math.min(to, this.text.length));
    const height = this.area.scrollHeight / Math.max(1, this.text.split("\n").length);
    this.area.scrollTop = Math.max(0, (line - 4) * height);
  }

  /** A mark that no longer is where it was said to be would mislead. */
  #forget() {
    if (this.mistakes.length === 0) return;
    this.mistakes = [];
    this.#lines = 0;
    this.box.classList.remove("wrong");
    this.area.removeAttribute("aria-invalid");
    this.summary.textContent = "Changed since it was checked.";
    show(this.list);
  }

  #draw() {
    const { text } = this;
    const lines = text.split("\n").length;
    if (lines !== this.#lines) {
      this.#lines = lines;
      const wrong = new Map(this.mistakes.map((mistake) => [mistake.line, mistake]));
      show(this.numbers, Array.from({ length: lines }, (_, index) => {
        const mistake = wrong.get(index + 1);
        return h("div", mistake ? { class: "wrong", title: mistake.message } : {}, mistake ? "▲ " : "", String(index + 1));
      }));
    }
    const marked = this.mistakes.map(({ line, column }) => wordAt(text, indexOf(text, line, column)));
    let at = 0;
    const drawn = pieces(text, this.language).flatMap(([kind, piece]) => {
      const start = at;
      at += piece.length;
      return cut(piece, start, marked).map(([part, wrong]) =>
        kind || wrong ? h("span", { class: [kind, wrong ? "wave" : null].filter(Boolean).join(" ") }, part) : part);
    });
    // A last line that is empty has no height without something in it. A mistake at the end marks what is not there.
    const open = marked.some(([from]) => from >= text.length);
    show(this.behind, drawn, open ? h("span", { class: "wave" }, " ") : null, "\n ");
    this.#follow();
  }

  #follow() {
    this.behind.style.transform = `translate(${-this.area.scrollLeft}px, ${-this.area.scrollTop}px)`;
    this.numbers.style.transform = `translateY(${-this.area.scrollTop}px)`;
  }

  #key(event) {
    if (event.key !== "Enter" || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
    const { area, text } = this;
    const line = text.slice(text.lastIndexOf("\n", area.selectionStart - 1) + 1, area.selectionStart);
    const indent = /^[ \t]*/.exec(line)[0] + (/[{]\s*$|\b(when|then)\s*$/i.test(line) ? "    " : "");
    if (indent === "") return;
    event.preventDefault();
    // The only way that keeps the browser's undo.
    document.execCommand("insertText", false, `\n${indent}`);
  }
}

/** A piece of text, cut where marks begin and end: `[[part, marked]…]`. */
function cut(piece, start, marks) {
  const end = start + piece.length;
  const edges = [start, end, ...marks.flat().filter((edge) => edge > start && edge < end)].sort((a, b) => a - b);
  return edges.slice(1).map((edge, index) => {
    const from = edges[index];
    return [piece.slice(from - start, edge - start), marks.some(([a, b]) => a <= from && edge <= b)];
  }).filter(([part]) => part !== "");
}
