// What was used, and what it costs, to the unit and the cent.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";

import { open, place, shot, signIn, tenant, until } from "./browser.mjs";
import { read, send, subscribe } from "./client.mjs";

const EVENTS = 13;
const PLAN = {
  name: "Test", currency: "USD", monthly_fee: "29.00",
  charges: [{ meter: "events_in", free: 10, price: { per_unit: { amount: "0.01" } } }],
};

export default async function usage(browser) {
  const { page, finish, expect } = await open(browser);
  expect(404);
  await signIn(page);
  await place(page, "Usage");
  await page.getByText("No plan, so nothing to pay").waitFor();
  await page.getByText("Nothing was used in this time").waitFor();

  await subscribe(PLAN);
  await send(Array.from({ length: EVENTS }, (_, index) => ({ id: String(index), type: "order.placed", data: { index } })));
  await until("the events to be metered", async () => (await read(`/usage/${tenant}?meters=events_in`)).rows.reduce((sum, row) => sum + row.quantity, 0) === EVENTS);

  await place(page, "Overview");
  await place(page, "Usage");
  const used = page.getByRole("region", { name: "Usage", exact: true });
  await used.getByRole("row", { name: `Events in ${EVENTS}` }).waitFor();
  for (const window of ["Minutes", "Days", "Months", "Hours"]) {
    await used.getByRole("button", { name: window }).click();
    await used.getByRole("row", { name: `Events in ${EVENTS}` }).waitFor();
  }
  assert.match(await used.getByRole("img").getAttribute("aria-label"), new RegExp(`Events in by hour: Events in \\d+ last, ${EVENTS} at most`));
  await used.getByLabel("Meter").selectOption("bytes_in");
  await until("another meter", async () => /Bytes in by hour/.test(await used.getByRole("img").getAttribute("aria-label")));

  const bills = page.getByRole("region", { name: "Invoices" });
  await bills.getByText("$29.03", { exact: true }).waitFor();
  await bills.getByRole("row", { name: /Monthly fee Test – \$29\.00/ }).waitFor();
  await bills.getByRole("row", { name: /Events in.* Test 3 \$0\.03/ }).waitFor();
  await bills.getByRole("button", { name: "Prove it" }).click();
  await bills.getByText("the analytics: agrees").waitFor();
  await bills.getByText("the stream: agrees").waitFor();
  await shot(page, "usage");
  const [file] = await Promise.all([page.waitForEvent("download"), bills.getByRole("button", { name: "Download as CSV" }).click()]);
  assert.match(file.suggestedFilename(), new RegExp(`^${tenant}-\\d{4}-\\d{2}-1\\.csv$`));
  assert.match(readFileSync(await file.path(), "utf8"), /events_in/);
  await finish();
}
