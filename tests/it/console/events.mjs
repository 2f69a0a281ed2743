// Events as they come: shown, filtered, held, followed past the end of an answer, and each told to its end.

import assert from "node:assert/strict";

import { open, place, shot, signIn, until } from "./browser.mjs";
import { live, saveRules, send, stored } from "./client.mjs";

const HOSTILE = "<img src=/x onerror=document.title='hit'>";

export default async function events(browser) {
  const version = await saveRules("orders", 'rule Big { when Event.type == "order.placed" && Event.data.total > 100 then Tag("big"); Retract("Big"); }');
  await live(version);
  const { page, finish } = await open(browser);
  let asked = 0;
  page.on("request", (request) => { if (request.url().includes("/api/v1/tail")) asked += 1; });
  await signIn(page);
  await page.getByText("Live", { exact: true }).waitFor();
  await place(page, "Events");
  const tail = page.getByRole("list", { name: "Events, newest first" });
  const rows = tail.getByRole("listitem");
  const has = (id) => until(`${id} in the list`, () => rows.filter({ hasText: `/shop · ${id}` }).count());

  await send([{ id: "a-1", type: "order.placed", data: { total: 120, note: HOSTILE } }]);
  await has("a-1");
  const first = rows.filter({ hasText: "/shop · a-1" });
  assert.match(await first.innerText(), /order\.placed[\s\S]*big/);
  await first.locator("summary").click();
  await first.getByText(HOSTILE, { exact: false }).waitFor();
  assert.equal(await page.locator("main img").count(), 0);
  assert.ok(!(await page.title()).includes("hit"));

  // Words are looked for here, types by the platform.
  await send([{ id: "a-2", type: "order.paid", data: 1 }]);
  await has("a-2");
  await page.getByLabel("Words").fill("a-2");
  await until("only what has the word", async () => (await rows.count()) === 1);
  await page.getByLabel("Words").fill("");
  await page.getByLabel("Types").fill("order.*");
  const opened = page.waitForResponse((answer) => answer.url().includes("types=order") && answer.ok());
  await page.getByRole("button", { name: "Filter" }).click();
  await opened;
  await until("the filtered tail", async () => {
    const id = `b-${Date.now()}`;
    await send([{ id: `x-${id}`, type: "alert" }, { id, type: "order.placed", data: { total: 1 } }]);
    await stored(id);
    return rows.filter({ hasText: id }).count();
  });
  assert.equal(await rows.filter({ hasText: "alert" }).count(), 0);

  // Held, it stands still and counts; let go, it shows what it missed.
  await page.getByRole("button", { name: "Hold" }).click();
  const shown = await rows.count();
  await send([{ id: "c-1", type: "order.placed", data: { total: 1 } }]);
  await page.getByText("1 event since").waitFor();
  assert.equal(await rows.count(), shown);
  await page.getByRole("button", { name: "Go on" }).click();
  await has("c-1");
  await shot(page, "events");

  // The API ends each answer after a while; the page comes back with its position, and misses and doubles nothing.
  const before = asked;
  const sent = [];
  await until("the tail to be taken up again", async () => {
    const id = `d-${sent.length}`;
    sent.push(id);
    await send([{ id, type: "order.placed", data: { total: 1 } }]);
    await stored(id);
    return asked > before;
  });
  await send([{ id: "last", type: "order.placed", data: { total: 1 } }]);
  await has("last");
  const text = (await rows.allInnerTexts()).join("\n");
  for (const id of sent.slice(-150)) assert.equal(text.split(new RegExp(`/shop · ${id}\\b`)).length, 2, `${id} once`);

  // Plots have what came, also as numbers.
  await place(page, "Overview");
  const plot = page.getByRole("region", { name: "Throughput" });
  await until("a line", async () => (await plot.getByRole("img").locator("path.line.s1").first().getAttribute("d"))?.includes("L"));
  assert.match(await plot.getByRole("img").getAttribute("aria-label"), /events\/s [\d.]+ last, [\d.]+ at most/);
  await plot.getByText("As numbers").click();
  await until("numbers", async () => (await plot.getByRole("row").count()) > 1);
  const latency = await page.getByRole("region", { name: "Latency" }).getByRole("img").getAttribute("aria-label");
  assert.match(latency, /half within .* last/);
  const hour = page.getByRole("region", { name: "The last hour" }).getByRole("img");
  await until("the last hour as metered", async () => !/in 0 last, 0 at most/.test(await hour.getAttribute("aria-label")) && /at most/.test(await hour.getAttribute("aria-label")));

  // A stored event is found by its source and id, and its story told.
  await place(page, "Events");
  await page.getByRole("button", { name: "Stored" }).click();
  await page.getByLabel("Source").fill("/shop");
  await page.getByLabel("Id", { exact: true }).fill("a-1");
  await page.getByRole("button", { name: "Look" }).click();
  const story = page.getByRole("region", { name: "What became of it" });
  await story.getByText("1 rule fired:").waitFor();
  assert.match(await story.innerText(), new RegExp(`Version ${version}; 1 rule fired:\\s+Big[\\s\\S]*Tagged\\s+big[\\s\\S]*Stored`));
  await shot(page, "story");
  await finish();
}
