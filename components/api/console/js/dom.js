// Elements from data. Text becomes text nodes and attributes only, never markup: what an event or a log line says can't
// become part of the page. The page's policy (trusted types) refuses innerHTML as well.

const SVG = "http://www.w3.org/2000/svg";
const PLAIN = new Set(["value", "checked", "disabled", "hidden", "open", "selected", "indeterminate", "readOnly"]);

/** An element. `on*` properties are listeners, `class` and the like attributes; null and false are left out. */
export function h(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same for drawings. */
export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2).toLowerCase(), value);
    else if (PLAIN.has(name)) element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...flat(children));
  return element;
}

function flat(children) {
  return children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
}

/** Puts these in place of all that is in there. */
export function show(parent, ...children) {
  parent.replaceChildren(...flat(children));
  return parent;
}

let ids = 0;
/** An id that no other element has. */
export function fresh(prefix) {
  ids += 1;
  return `${prefix}-${ids}`;
}

/** Said to who can't see it, and shown for a while to who can. */
let forget;
export function say(text) {
  const said = document.getElementById("said");
  said.textContent = text;
  clearTimeout(forget);
  forget = setTimeout(() => { said.textContent = ""; }, 6000);
}
