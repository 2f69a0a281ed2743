// GRL and JSON as far as colours need it.

const PIECES = {
  grl: /(?<comment>\/\/[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|(?<text>"(?:[^"\\\n]|\\.)*"?|'(?:[^'\\\n]|\\.)*'?)|(?<num>\b\d[\w.]*)|(?<word>\b(?:rule|when|then|salience|true|false|nil)\b)|(?<call>\b[A-Z]\w*(?=\s*\())/g,
  json: /(?<key>"(?:[^"\\\n]|\\.)*"(?=\s*:))|(?<text>"(?:[^"\\\n]|\\.)*"?)|(?<num>-?\b\d[\w.+-]*)|(?<word>\b(?:true|false|null)\b)/g,
};

/** `[[kind or null, text]…]`, which together are `text`. */
export function pieces(text, language) {
  const found = [];
  let end = 0;
  for (const match of text.matchAll(PIECES[language])) {
    if (match.index > end) found.push([null, text.slice(end, match.index)]);
    const kind = Object.keys(match.groups).find((name) => match.groups[name] !== undefined);
    found.push([kind, match[0]]);
    end = match.index + match[0].length;
  }
  if (end < text.length) found.push([null, text.slice(end)]);
  return found;
}

/** The index of a place, both counted from 1, the column in characters (not UTF-16 units). */
export function indexOf(text, line, column) {
  const lines = text.split("\n");
  const at = Math.min(Math.max(1, line), lines.length) - 1;
  const before = lines.slice(0, at).reduce((sum, one) => sum + one.length + 1, 0);
  const characters = [...lines[at]].slice(0, Math.max(0, column - 1)).join("");
  return before + characters.length;
}

/** From a place to the end of the word that stands there; one character at least. */
export function wordAt(text, from) {
  const word = /^(?:[\p{L}\p{N}_]+|"(?:[^"\\\n]|\\.)*"?|[^\s\p{L}\p{N}_])/u.exec(text.slice(from))?.[0];
  return [from, from + Math.max(1, word?.length ?? 1)];
}
