// A rule from its first mistake to its last version.

import assert from "node:assert/strict";

import { open, place, shot, signIn, until } from "./browser.mjs";
import { call, read, send, stored } from "./client.mjs";

const WRONG = `rule Big "large orders" {
    when
        Event.type == "order.placed" && Event.data.total > 100
    then
        Tgg("big");
}
`;
const RIGHT = WRONG.replace("Tgg", "Tag");

export default async function rules(browser) {
  await send([{ id: "1", type: "order.placed", data: { total: 120 } }, { id: "2", type: "order.placed", data: { total: 12 } }]);
  await stored("1");
  await stored("2");
  const { page, finish, expect } = await open(browser);
  expect(422);
  await signIn(page);
  await place(page, "Rules");
  await page.getByText("No rules yet").waitFor();
  await page.getByRole("link", { name: "Write a rule" }).click();
  const text = page.getByRole("textbox", { name: "Text of the new rules" });

  // A mistake is where it is: at its line, under its word, and in the list that leads there.
  await text.fill(WRONG);
  const mistake = page.getByRole("button", { name: /Line 5, column 9.*Tgg/ });
  await mistake.waitFor();
  assert.equal(await text.getAttribute("aria-invalid"), "true");
  assert.match(await page.locator(".gutter .wrong").innerText(), /5$/);
  assert.equal(await page.locator(".behind .wave").innerText(), "Tgg");
  await shot(page, "rules-mistake");
  await mistake.click();
  assert.equal(await text.evaluate((area) => area.value.slice(area.selectionStart, area.selectionEnd)), "Tgg");

  // What is not saved is not tried to be lost: leaving asks first.
  let asked = 0;
  page.once("dialog", (dialog) => { asked += 1; return dialog.dismiss(); });
  await place(page, "Usage");
  await until("the question", () => asked === 1);
  assert.equal(await text.inputValue(), WRONG);

  await mistake.click();
  await page.keyboard.type("Tag");
  await mistake.waitFor({ state: "detached" });
  await text.fill(RIGHT);
  await page.getByText("No mistake in 1 rule.").waitFor();

  // Tried on what is stored, event by event, with the reason.
  await page.getByRole("button", { name: "Try it" }).click();
  const result = page.getByRole("region", { name: "What it would do" });
  await result.getByText("1 rule on 2 events: 1 touched").waitFor();
  const small = result.getByRole("listitem").filter({ hasText: "/shop · 2" }).first();
  await small.locator("summary").click();
  assert.match(await small.innerText(), /Event\.data\.total > 100[\s\S]*is not so[\s\S]*Event\.data\.total\s+is\s+12/);
  await shot(page, "rules-tried");
  assert.equal((await read("/rules")).version, 0, "trying saves nothing");

  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("The text has no name").waitFor();
  await page.getByLabel("Name").fill("orders");
  await page.getByRole("button", { name: "Save" }).click();
  await page.getByText("Version 1", { exact: true }).waitFor();
  assert.match(page.url(), /#\/rules\/orders$/);
  assert.equal((await call("GET", "/rules/orders")).text, RIGHT);

  // Saved again, by keys; and taken back.
  const saved = page.getByRole("textbox", { name: "Text of the rules orders" });
  await saved.fill(RIGHT.replace("100", "1000"));
  await saved.press("Control+s");
  await page.getByText("Version 2", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Roll back to version 1" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Roll back" }).click();
  await page.getByText("Version 3", { exact: true }).waitFor();
  await until("the text of version 1", async () => (await saved.inputValue()) === RIGHT);

  // Live: an event that comes now is tagged.
  let n = 2;
  await until("the rule to be live", async () => {
    n += 1;
    await send([{ id: String(n), type: "order.placed", data: { total: 500 } }]);
    return (await stored(String(n))).ertags === "big";
  });

  // Somebody else's change, and a mistake that only saving meets, are told in the same words as the API's.
  await call("PUT", "/rules/other", { body: 'rule Big { when true then Tag("x"); }'.replace("Big", "Other"), type: "text/plain" });
  await saved.fill(RIGHT.replaceAll("Big", "Other"));
  await page.getByText("No mistake in 1 rule.").waitFor();
  await saved.press("Control+s");
  await page.getByRole("alert").filter({ hasText: "Other" }).waitFor();

  await saved.fill(RIGHT);
  await page.getByRole("button", { name: "Delete" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
  await page.getByText("No rule text is open").waitFor();
  assert.deepEqual((await read("/rules")).texts, ["other"]);
  await finish();
}
