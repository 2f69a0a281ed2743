// A consumer that runs: held, let go, read, and taken back to its version before.

import assert from "node:assert/strict";

import { open, place, shot, signIn, until } from "./browser.mjs";
import { read, webhook } from "./client.mjs";

const NAME = "rust-alert";

export default async function consumers(browser) {
  const { page, finish } = await open(browser);
  await signIn(page);
  await place(page, "Consumers");
  const card = page.getByRole("listitem").filter({ has: page.getByRole("link", { name: NAME }) });
  await card.getByText("running").waitFor();
  await card.getByRole("button", { name: `Pause ${NAME}` }).click();
  await page.getByRole("dialog").getByLabel("Reason").fill("maintenance at the bank");
  await page.getByRole("dialog").getByRole("button", { name: "Pause" }).click();
  await card.getByText("paused", { exact: true }).waitFor();
  await card.getByText("maintenance at the bank", { exact: false }).waitFor();
  const held = await read(`/consumers/${NAME}`);
  assert.equal(held.state, "paused");
  await card.getByRole("button", { name: `Resume ${NAME}` }).click();
  await card.getByText("running").waitFor();

  await card.getByRole("link", { name: NAME }).click();
  await page.getByRole("heading", { level: 1, name: NAME }).waitFor();
  const repository = { full_name: "acme/secret", html_url: "https://example.com/acme/secret" };
  await webhook("repository", "d-1", { action: "publicized", repository, sender: { login: "me" } });
  const log = page.getByRole("region", { name: "Log" });
  await log.getByText("acme/secret", { exact: false }).first().waitFor();
  await shot(page, "consumer");

  const before = (await read(`/consumers/${NAME}`)).version;
  await page.getByRole("button", { name: "Roll back to version 1" }).click();
  await page.getByRole("dialog").getByRole("button", { name: "Roll back" }).click();
  await until("the version that it was rolled back to", async () => {
    const record = await read(`/consumers/${NAME}`);
    assert.ok(!["refused", "failed"].includes(record.state), record.message);
    return record.deployed === before + 1;
  }, 180_000);
  const state = page.getByRole("region", { name: "State" });
  await state.getByText(`${before + 1}, ${before + 1} runs`).waitFor();
  await finish();
}
