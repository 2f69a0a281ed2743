// Dead letters: looked at, delivered again once the reason is gone, and discarded.

import assert from "node:assert/strict";

import { open, PHONE, place, shot, signIn, until } from "./browser.mjs";
import { live, read, saveRules, send, stored } from "./client.mjs";

const COUNT = 4;
// What the console asks for at once.
const PAGE = 200;
const GIVES_UP = 'rule Late { when Event.type == "late" then DeadLetter("too late"); Retract("Late"); }';

export default async function letters(browser) {
  await live(await saveRules("late", GIVES_UP));
  await send(Array.from({ length: COUNT }, (_, index) => ({ id: `late-${index}`, type: "late", data: { index } })));
  await until("the dead letters", async () => (await read("/dead-letters")).items.length === COUNT);

  const { page, finish, expect } = await open(browser, { size: PHONE, colours: "dark" });
  await signIn(page);
  await page.getByText("to look at").waitFor();
  await place(page, "Dead letters");
  const list = page.getByRole("list", { name: "Dead letters, oldest first" });
  await until("all of them", async () => (await list.locator("> li").count()) === COUNT);
  const one = list.locator("> li").nth(1);
  await one.locator("summary").click();
  await one.getByText('"index": 1').waitFor();
  assert.match(await one.innerText(), /Late: too late/);
  await shot(page, "letters-phone-dark");

  // From the letter to the story of its event, which is nowhere else, and back.
  await one.getByRole("link", { name: "/shop · late-1" }).click();
  await page.getByText("It is not stored").waitFor();
  await page.getByRole("link", { name: /^dead letter/ }).click();
  await page.locator("details[open]").getByText('"index": 1').waitFor();

  // Filters narrow what is listed and what is chosen.
  await page.getByLabel("Words").fill("late-2");
  await until("one", async () => (await list.locator("> li").count()) === 1);
  await page.getByRole("button", { name: "Choose all 1" }).click();
  await page.getByText("1 dead letter chosen").waitFor();
  await page.getByLabel("Words").fill("");

  // The rule is mended, and what is delivered again is stored.
  await live(await saveRules("late", GIVES_UP.replace('"late"', '"too.late"')));
  await page.getByRole("button", { name: "Redrive", exact: true }).first().click();
  await page.getByRole("dialog").getByText("Deliver 1 dead letter again?").waitFor();
  await page.getByRole("dialog").getByRole("button", { name: "Redrive" }).click();
  await page.getByText("1 dead letter redriven.").waitFor();
  await stored("late-2");
  await until("three left", async () => (await list.locator("> li").count()) === COUNT - 1);

  // Discarding can be thought better of.
  await page.getByRole("button", { name: `Choose all ${COUNT - 1}` }).click();
  await page.getByRole("button", { name: "Discard", exact: true }).first().click();
  await page.getByRole("dialog").getByRole("button", { name: "Cancel" }).click();
  assert.equal((await read("/dead-letters")).items.length, COUNT - 1);
  await page.getByRole("button", { name: "Discard", exact: true }).first().click();
  await page.getByRole("dialog").getByRole("button", { name: "Discard" }).click();
  await page.getByText("No dead letters", { exact: true }).waitFor();
  assert.equal((await read("/dead-letters")).items.length, 0);

  // More than a page of them: the later ones come below those that are there.
  await live(await saveRules("late", GIVES_UP));
  await send(Array.from({ length: PAGE + 3 }, (_, index) => ({ id: `more-${index}`, type: "late", data: { index } })));
  await until("a page and more", async () => (await read(`/dead-letters?limit=${2 * PAGE}`)).items.length === PAGE + 3);
  await page.getByRole("button", { name: "Look again" }).click();
  await until("a page", async () => (await list.locator("> li").count()) === PAGE);
  await page.getByRole("button", { name: "Later ones" }).click();
  await until("all of them", async () => (await list.locator("> li").count()) === PAGE + 3);
  expect(404);
  await finish();
}
