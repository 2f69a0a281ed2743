// Who may come in, as what, and what is left of it afterwards.

import assert from "node:assert/strict";

import { accessible, api, key, open, operatorKey, place, shot, signIn, tenant, until } from "./browser.mjs";
import { call } from "./client.mjs";

async function made(role) {
  const { status, text } = await call("POST", "/keys", { body: JSON.stringify({ role }) });
  assert.equal(status, 201, text);
  return JSON.parse(text).key;
}

async function turnedAway(page, as, title) {
  await page.goto(`${api}/`);
  await page.getByLabel("API key").fill(as);
  await page.keyboard.press("Enter");
  const alert = page.getByRole("alert");
  await alert.waitFor();
  assert.match(await alert.innerText(), title);
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
}

export default async function door(browser) {
  const { page, finish, expect } = await open(browser);
  expect(401, 403);
  await turnedAway(page, "er_nonsense", /That is no API key/);
  await accessible(page, "the door with a problem");
  await turnedAway(page, `er_${tenant}_${"A".repeat(43)}`, /Authentication is required[\s\S]*revoked/);
  await shot(page, "door");
  await turnedAway(page, await made("publisher"), /may not do that/);

  // A viewer looks: there is nothing to press that would change anything.
  await signIn(page, await made("viewer"));
  await place(page, "Rules");
  await page.getByRole("link", { name: "Write a rule" }).click();
  await page.getByText("may look only", { exact: false }).last().waitFor();
  assert.equal(await page.getByRole("button", { name: "Save" }).count(), 0);
  await page.getByRole("button", { name: "Sign out" }).click();

  // An operator chooses a tenant, and is in it.
  await page.getByLabel("API key").fill(operatorKey);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByLabel("Tenant").selectOption(tenant);
  await accessible(page, "the choice of a tenant");
  await page.getByRole("button", { name: "Open" }).click();
  await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  assert.ok(await page.getByText(tenant, { exact: true }).isVisible());
  await page.getByText("Live", { exact: true }).waitFor();
  await page.getByRole("button", { name: "Sign out" }).click();

  // The key outlives a reload and nothing else.
  await signIn(page);
  await page.reload();
  await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
  const kept = await page.evaluate(() => [JSON.stringify(localStorage), document.cookie, location.href].join());
  assert.ok(!kept.includes(key));
  await page.getByRole("button", { name: /^Dark/ }).click();
  assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), "dark");
  await page.reload();
  await until("the colours that were chosen", () => page.evaluate(() => document.documentElement.dataset.theme === "dark"));
  await page.getByRole("button", { name: "Sign out" }).click();
  assert.equal(await page.evaluate(() => sessionStorage.length), 0);
  await page.goto(`${api}/#/rules`);
  await page.getByLabel("API key").waitFor();
  await finish();
}
