// From signing in to signing out without a mouse: a rule is written, mended, tried, saved and taken back.

import assert from "node:assert/strict";

import { api, key, open, PHONE, until } from "./browser.mjs";
import { read, send, stored } from "./client.mjs";

const STEPS_MAX = 80;

const focused = (page) => page.evaluate(() => {
  const { activeElement: at } = document;
  const labels = [...(at.labels ?? [])].map((label) => label.innerText);
  return { tag: at.tagName, name: at.getAttribute("aria-label") ?? (labels.join(" ") || at.textContent.replace(/\s+/g, " ").trim()) };
});

/** Tab until what is called so has the focus, which everybody can see. */
async function tabTo(page, name, key = "Tab") {
  for (let step = 0; step < STEPS_MAX; step += 1) {
    await page.keyboard.press(key);
    const at = await focused(page);
    const seen = await page.evaluate(() => {
      const lit = (element) => getComputedStyle(element).outlineStyle !== "none";
      return document.activeElement === document.body || lit(document.activeElement) || lit(document.activeElement.closest(".editor") ?? document.activeElement);
    });
    assert.ok(seen, `the focus on ${JSON.stringify(at)} can't be seen`);
    if (name.test(at.name)) return;
  }
  assert.fail(`${STEPS_MAX} steps did not lead to ${name}; the last one to ${JSON.stringify(await focused(page))}`);
}

const heading = (page, name) => until(`the focus on ${name}`, async () => {
  const at = await focused(page);
  return at.tag === "H1" && at.name === name;
});

async function flow(browser, size) {
  const { page, finish, expect } = await open(browser, { size });
  expect(422);
  const name = `keys-${size.width}`;
  await page.goto(`${api}/`);
  await page.getByLabel("API key").waitFor();
  assert.match((await focused(page)).name, /API key/);
  await page.keyboard.type(key);
  await page.keyboard.press("Enter");
  await heading(page, "Overview");

  // Past everything that every page has.
  await page.evaluate(() => document.activeElement.blur());
  await page.evaluate(() => { document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute("tabindex"); });
  await tabTo(page, /^Skip to content$/);
  await page.keyboard.press("Enter");
  assert.equal((await focused(page)).tag, "MAIN");

  await tabTo(page, /^Rules$/, "Shift+Tab");
  await page.keyboard.press("Enter");
  await heading(page, "Rules");
  await tabTo(page, /^New rule text$/);
  await page.keyboard.press("Enter");
  await heading(page, "Rules");
  await tabTo(page, /^Name$/);
  await page.keyboard.type(name);
  await tabTo(page, /^Text of the new rules$/);
  await page.keyboard.press("Control+a");
  await page.keyboard.type(`rule K${size.width} {`);
  await page.keyboard.press("Enter");
  // The editor keeps the indentation.
  await page.keyboard.type("when true then Tgg(\"k\"); }");
  await page.getByRole("button", { name: /Line 2, column \d+.*Tgg/ }).waitFor();
  await tabTo(page, /^Line 2, column/);
  await page.keyboard.press("Enter");
  assert.match((await focused(page)).name, /^Text of/);
  await page.keyboard.type("Tag");
  await page.getByText("No mistake in 1 rule.").waitFor();
  await page.keyboard.press("Control+Enter");
  await until("the result to have the focus", async () => (await focused(page)).name === "What it would do");
  await tabTo(page, /^passes|\/shop/);
  await page.keyboard.press("Enter");
  await page.locator("details[open]").getByText("matched").waitFor();
  await tabTo(page, /^Save$/, "Shift+Tab");
  await page.keyboard.press("Enter");
  await until("the rule", async () => (await read("/rules")).texts.includes(name));
  await heading(page, "Rules");
  const { version } = await read("/rules");

  // A dialog takes the focus, Escape closes it, and the focus is back where it was.
  if (version > 1) {
    await tabTo(page, new RegExp(`^Roll back to version ${version - 1}$`));
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    await page.keyboard.press("Escape");
    await until("the focus back", async () => (await focused(page)).name === `Roll back to version ${version - 1}`);
    await page.keyboard.press("Enter");
    await page.getByRole("dialog").waitFor();
    await tabTo(page, /^Roll back$/);
    await page.keyboard.press("Enter");
    await until("a version more", async () => (await read("/rules")).version === version + 1);
    // The text that was open is not in it.
    await page.getByText("No rule text is open").waitFor();
  }
  await tabTo(page, /^Sign out$/, "Shift+Tab");
  await page.keyboard.press("Enter");
  await page.getByLabel("API key").waitFor();
  await finish();
}

export default async function keyboard(browser) {
  await send([{ id: "1", type: "order.placed", data: 1 }]);
  await stored("1");
  await flow(browser, { width: 1280, height: 860 });
  await flow(browser, PHONE);
}
