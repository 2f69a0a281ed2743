// The page's own reading and writing, tried in the browser on the files as they are served.

import assert from "node:assert/strict";

import { api, open } from "./browser.mjs";

export default async function pieces(browser) {
  const { page, finish } = await open(browser);
  await page.goto(`${api}/`);

  // Server-sent events, however the network cuts them, and whichever line ends they have.
  const cut = await page.evaluate(async () => {
    const { Blocks } = await import("/console/js/sse.js");
    const stream = ': hello\nretry: 500\n\nid: 7-1\nevent: a.b\ndata: {"ü":\ndata: "😀"}\n\nid: 8\n: keep-alive\n\ndata:no blank\n\n';
    const all = (text, size) => {
      const blocks = new Blocks();
      return JSON.stringify(text.match(new RegExp(`[^]{1,${size}}`, "g")).flatMap((piece) => blocks.take(piece)));
    };
    const whole = all(stream, stream.length);
    const texts = [stream, stream.replaceAll("\n", "\r\n")];
    return { whole: JSON.parse(whole), same: texts.every((text) => [1, 2, 3, 5, 17].every((size) => all(text, size) === whole)) };
  });
  assert.ok(cut.same);
  assert.deepEqual(cut.whole.map(({ id, event, data, retry }) => [id, event, data, retry]), [
    [null, "message", "", 500], ["7-1", "a.b", '{"ü":\n"😀"}', null], ["8", "message", "", null], [null, "message", "no blank", null],
  ]);

  // Numbers keep their digits from the API to the eye.
  const digits = await page.evaluate(async () => {
    const { layOut, parse } = await import("/console/js/api.js");
    const { money, count } = await import("/console/js/format.js");
    return {
      back: layOut(parse('{"big":12345678901234567890123,"small":-1.5,"text":"<b>"}')), count: count(parse("9223372036854775807")),
      money: [money(2903, "USD"), money(-5, "USD"), money(1200, "JPY"), money(parse("9007199254740993"), "USD"), money(0, "KWD")],
    };
  });
  assert.equal(digits.back, '{\n  "big": 12345678901234567890123,\n  "small": -1.5,\n  "text": "<b>"\n}');
  assert.equal(digits.count, "9,223,372,036,854,775,807");
  assert.deepEqual(digits.money.map((text) => text.replace(/\s/g, " ")), ["$29.03", "-$0.05", "¥1,200", "$90,071,992,547,409.93", "KWD 0.000"]);

  // A place is counted in characters, wherever they are two units long; colours change no letter.
  const places = await page.evaluate(async () => {
    const { indexOf, pieces: cutUp, wordAt } = await import("/console/js/grl.js");
    const text = 'rule A {\n  /* 😀 */ when E.x == "😀ü" then Tgg("y"); // end\n}\n';
    const at = indexOf(text, 2, [...text.split("\n")[1]].join("").indexOf("Tgg") - 1);
    const broken = 'rule "open /* never ends';
    return {
      word: text.slice(...wordAt(text, at)), beyond: indexOf(text, 99, 99), length: text.length,
      same: [text, broken, ""].every((one) => cutUp(one, "grl").map(([, piece]) => piece).join("") === one),
      kinds: cutUp(text, "grl").filter(([kind]) => kind).map(([kind, piece]) => `${kind} ${piece}`),
    };
  });
  assert.equal(places.word, "Tgg");
  assert.equal(places.beyond, places.length);
  assert.ok(places.same);
  assert.deepEqual(places.kinds, ["word rule", "comment /* 😀 */", "word when", 'text "😀ü"', "word then", "call Tgg", 'text "y"', "comment // end"]);

  // Percentiles of nothing are nothing.
  const middle = await page.evaluate(async () => {
    const { percentile } = await import("/console/js/feed.js");
    return [percentile([], 0.5), percentile([1], 0.95), percentile([1, 2, 3, 4], 0.5)];
  });
  assert.deepEqual(middle, [null, 1, 3]);
  await finish();
}
