// Lines over time, as SVG: with a sentence for who can't see them and the numbers as a table for who wants them.

import { h, show, svg } from "./dom.js";
import { clock } from "./format.js";

const WIDTH = 640;
const HEIGHT = 176;
const LEFT = 48;
const BOTTOM = 22;
const TOP = 8;

/** A letter on the axis, with room beside it. */
const LETTER = 8;
const TICKS = 4;

/** A round step of which at most `TICKS` reach `value`. */
function step(value) {
  if (!(value > 0)) return 1;
  const wanted = value / TICKS;
  const power = 10 ** Math.floor(Math.log10(wanted));
  return [1, 2, 2.5, 5, 10].map((factor) => factor * power).find((one) => one >= wanted * 0.999);
}

/**
 * A plot that is drawn again with each `draw(points)`; a point is `{at, <series>: number | null}`.
 * `series`: `[{name, label, format}]`, at most three, told apart by dashes as well as by colour.
 */
export class Plot {
  constructor({ label, series, format, empty, time = (at) => clock(at) }) {
    Object.assign(this, { label, series, format, empty, time, points: [] });
    this.drawing = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": label });
    this.legend = h("div", { class: "legend" });
    this.numbers = h("div", {});
    const details = h("details", { ontoggle: () => { if (details.open) this.#list(); } }, h("summary", {}, "As numbers", h("span", { class: "unseen" }, `: ${label}`)), this.numbers);
    this.details = details;
    this.element = h("figure", { class: "plot" }, this.legend, this.drawing, details);
    // The drawing is as wide as its place, so that letters keep their size.
    this.width = WIDTH;
    new ResizeObserver(([{ contentRect }]) => {
      if (contentRect.width > 0 && Math.abs(contentRect.width - this.width) > 1) {
        this.width = contentRect.width;
        this.draw(this.points);
      }
    }).observe(this.element);
  }

  draw(points) {
    this.points = points;
    this.drawing.setAttribute("viewBox", `0 0 ${this.width} ${HEIGHT}`);
    const values = points.flatMap((point) => this.series.map(({ name }) => point[name])).filter((value) => value !== null && value !== undefined);
    const most = Math.max(0, ...values);
    const tick = step(most);
    const top = Math.max(1, Math.ceil((most * 0.999) / tick)) * tick;
    const x = (index) => LEFT + (index / Math.max(1, points.length - 1)) * (this.width - LEFT - 4);
    const y = (value) => TOP + (1 - value / top) * (HEIGHT - TOP - BOTTOM);
    show(this.drawing, this.#grid(points, top, tick, x, y), this.series.map(({ name }, index) => this.#line(points, name, index + 1, x, y)),
      values.length ? null : svg("text", { class: "axis", x: this.width / 2, y: HEIGHT / 2, "text-anchor": "middle" }, this.empty));
    this.#legend();
    this.drawing.setAttribute("aria-label", this.#sentence(values));
    // A table that a reader may just be in is left alone while it is closed or unchanged in length.
    if (this.details.open && !this.details.contains(document.activeElement)) this.#list();
  }

  #grid(points, top, tick, x, y) {
    const lines = Array.from({ length: Math.round(top / tick) + 1 }, (_, index) => tick * index).map((value) => [
      svg("line", { class: "grid", x1: LEFT, x2: this.width, y1: y(value), y2: y(value) }),
      svg("text", { class: "axis", x: LEFT - 8, y: y(value) + 4, "text-anchor": "end" }, value === 0 ? "0" : this.format(value)),
    ]);
    if (points.length < 2) return lines;
    const letters = this.time(points[0].at).length;
    const marks = [4, 2, 1].find((some) => (some + 1) * letters * LETTER < this.width - LEFT) ?? 1;
    return lines.concat(Array.from({ length: marks + 1 }, (_, mark) => {
      const index = Math.round((mark / marks) * (points.length - 1));
      const anchor = mark === 0 ? "start" : mark === marks ? "end" : "middle";
      return svg("text", { class: "axis", x: x(index), y: HEIGHT - 4, "text-anchor": anchor }, this.time(points[index].at));
    }));
  }

  /** Pieces between the gaps; a point alone is drawn as a dot. */
  #line(points, name, index, x, y) {
    const runs = [];
    points.forEach((point, at) => {
      const value = point[name];
      if (value === null || value === undefined) return runs.push([]);
      if (runs.length === 0) runs.push([]);
      return runs.at(-1).push([x(at), y(value)]);
    });
    return runs.filter((run) => run.length > 0).map((run) => {
      if (run.length === 1) return svg("circle", { class: `f${index}`, cx: run[0][0], cy: run[0][1], r: 2 });
      const path = run.map(([px, py], at) => `${at ? "L" : "M"}${px.toFixed(1)} ${py.toFixed(1)}`).join("");
      const floor = `L${run.at(-1)[0].toFixed(1)} ${y(0)}L${run[0][0].toFixed(1)} ${y(0)}Z`;
      return [index === 1 ? svg("path", { class: `area f${index}`, d: path + floor }) : null, svg("path", { class: `line s${index}`, d: path })];
    }).flat();
  }

  #legend() {
    const last = (name) => this.points.findLast((point) => point[name] !== null && point[name] !== undefined)?.[name];
    show(this.legend, this.series.map(({ name, label }, index) => h("span", {},
      svg("svg", { viewBox: "0 0 22 10", "aria-hidden": "true" }, svg("path", { class: `line s${index + 1}`, d: "M0 5h22" })),
      label, h("b", {}, last(name) === undefined ? "–" : this.format(last(name))))));
  }

  #sentence(values) {
    if (values.length === 0) return `${this.label}: ${this.empty}`;
    const parts = this.series.map(({ name, label }) => {
      const own = this.points.map((point) => point[name]).filter((value) => value !== null && value !== undefined);
      return own.length ? `${label} ${this.format(own.at(-1))} last, ${this.format(Math.max(...own))} at most` : `${label} none`;
    });
    return `${this.label}: ${parts.join("; ")}`;
  }

  #list() {
    const told = this.points.filter((point) => this.series.some(({ name }) => point[name])).slice(-60).reverse();
    show(this.numbers, h("div", { class: "wide", tabindex: "0", role: "region", "aria-label": this.label },
      h("table", {}, h("caption", { class: "unseen" }, this.label),
        h("thead", {}, h("tr", {}, h("th", { scope: "col" }, "Time"), this.series.map(({ label }) => h("th", { scope: "col", class: "number" }, label)))),
        h("tbody", {}, told.map((point) => h("tr", {}, h("th", { scope: "row" }, this.time(point.at)),
          this.series.map(({ name }) => h("td", { class: "number" }, point[name] === null ? "–" : this.format(point[name])))))))));
  }
}
