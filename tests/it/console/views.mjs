// Every view on a desk and a phone, in light and dark: no violation that axe knows of, and nothing wider than the screen.

import assert from "node:assert/strict";

import { accessible, DESK, open, PHONE, api, shot, signIn, until } from "./browser.mjs";
import { live, saveRules, send, stored, subscribe } from "./client.mjs";

const RULES = `rule BigOrder "large orders go the fast way" {
    when
        Event.type == "order.placed" && Event.data.total > 100
    then
        Tag("big");        // shown beside the event
        Route("fast-lane");
        Retract("BigOrder");
}

rule Late "nobody waits that long" {
    when
        Event.type == "order.late"
    then
        DeadLetter("too late");
}
`;

const order = (id, type = "order.placed") => ({ id, type, data: { total: (Number(id.split("-")[1]) * 37) % 240, currency: "EUR", customer: { name: "Ada", since: 1843 } } });

/** Each view, and what shows that it has all it is to have. */
const VIEWS = [
  ["overview", "#/overview", (page) => page.getByRole("region", { name: "The last hour" }).getByText("deliveries").first()],
  ["events", "#/events", (page) => page.getByRole("list", { name: "Events, newest first" }).getByRole("listitem").first()],
  ["stored", "#/events", async (page) => {
    await page.getByRole("button", { name: "Stored" }).click();
    return page.getByRole("region", { name: "Stored events" }).getByRole("listitem").first();
  }],
  ["story", "#/events/%2Fshop/order-3", (page) => page.getByText("1 rule fired:")],
  ["no-story", "#/events/%2Fshop/none", (page) => page.getByRole("alert")],
  ["rules", "#/rules", (page) => page.getByText("No rule text is open")],
  ["rule", "#/rules/orders", async (page) => {
    await page.getByText("No mistake in 2 rules.").waitFor();
    await page.getByRole("button", { name: "Try it" }).click();
    return page.getByRole("region", { name: "What it would do" }).getByRole("listitem").first();
  }],
  ["mistake", "#/rules/new", async (page) => {
    await page.getByRole("textbox", { name: "Text of the new rules" }).fill("rule A {\n  when\n    Event.type == \n  then\n    Tag(\"x\");\n}\n");
    return page.getByRole("button", { name: /^Line/ }).first();
  }],
  ["consumers", "#/consumers", (page) => page.getByRole("link", { name: "rust-alert" })],
  ["consumer", "#/consumers/rust-alert", (page) => page.getByRole("region", { name: "Versions" }).first()],
  ["letters", "#/letters", async (page) => {
    await page.getByRole("list", { name: "Dead letters, oldest first" }).locator("summary").first().click();
    return page.getByText('"total"').first();
  }],
  ["usage", "#/usage", (page) => page.getByRole("button", { name: "Prove it" })],
  ["nowhere", "#/nowhere", (page) => page.getByText("There is no such place")],
];

export default async function views(browser) {
  await subscribe({ name: "Team", currency: "USD", monthly_fee: "29.00", charges: [{ meter: "events_in", free: 10, price: { per_unit: { amount: "0.01" } } }] });
  await live(await saveRules("orders", RULES));
  await send(Array.from({ length: 24 }, (_, index) => order(`order-${index}`)).concat(order("late-1", "order.late")));
  await stored("order-23");
  for (const [size, colours] of [[DESK, "light"], [DESK, "dark"], [PHONE, "light"], [PHONE, "dark"]]) {
    const { page, finish, expect } = await open(browser, { size, colours });
    expect(404, 422);
    page.on("dialog", (dialog) => dialog.accept());
    await signIn(page);
    await page.getByText("Live", { exact: true }).waitFor();
    await send(Array.from({ length: 12 }, (_, index) => order(`${colours}${size.width}-${index}`)));
    assert.equal(await page.evaluate(() => document.documentElement.dataset.theme), colours);
    for (const [name, path, ready] of VIEWS) {
      await page.goto(`${api}/${path}`);
      await (await ready(page)).waitFor();
      await until("nothing to be loading", async () => (await page.locator(".loading, [aria-busy='true']").count()) === 0);
      const where = `${name}-${size === PHONE ? "phone" : "desk"}-${colours}`;
      await accessible(page, where);
      await shot(page, where);
    }
    await finish();
  }
}
