// A real Chromium on the console, and what every flow is held to: no error on the console, no request to another origin.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const env = (name) => process.env[name] ?? assert.fail(`${name} is not set; tests/it/console.rs sets it`);
const modules = createRequire(join(env("ER_BROWSER_MODULES"), "package.json"));
const { chromium } = modules("playwright-core");
const AXE = readFileSync(modules.resolve("axe-core/axe.min.js"), "utf8");

export const DESK = { width: 1280, height: 860 };
export const PHONE = { width: 320, height: 700 };
/** From a click to what it brings about, on a machine that does much else. */
export const WITHIN_MS = 60_000;

export const api = env("ER_API_URL");
export const ingest = env("ER_INGEST_URL");
export const tenant = env("ER_TENANT");
export const key = env("ER_API_KEY");
export const operatorKey = env("ER_ADMIN_KEY");

/** Where screenshots go; none are taken without it. */
const shots = process.env.ER_SHOTS;

export async function launch() {
  // Root may not use Chromium's own sandbox, and tests in containers are often run as root.
  const args = process.getuid() === 0 ? ["--no-sandbox"] : [];
  return chromium.launch({ executablePath: env("ER_BROWSER"), args });
}

/** A page with nothing in it yet. `finish()` holds it to what every page is held to. */
export async function open(browser, { size = DESK, colours = "light" } = {}) {
  const context = await browser.newContext({ viewport: size, colorScheme: colours, reducedMotion: "reduce", acceptDownloads: true });
  const page = await context.newPage();
  page.setDefaultTimeout(WITHIN_MS);
  const faults = [];
  // A platform that is held up says so to anybody, and the page comes again, or tells of it.
  const refused = new Set([503]);
  page.on("pageerror", (error) => faults.push(`error: ${error.stack ?? error}`));
  page.on("console", (message) => {
    if (message.type() !== "error" && message.type() !== "warning") return;
    // The browser's own line about an answer below; whether that was expected is looked at there.
    if (!message.text().startsWith("Failed to load resource")) faults.push(`console: ${message.text()}`);
  });
  page.on("response", (answer) => {
    if (answer.status() >= 400 && !refused.has(answer.status())) faults.push(`${answer.status()} ${answer.request().method()} ${answer.url()}`);
  });
  page.on("request", (request) => {
    const { protocol, origin } = new URL(request.url());
    if (protocol !== "blob:" && protocol !== "data:" && origin !== new URL(api).origin) faults.push(`another origin: ${request.url()}`);
  });
  const finish = async () => {
    await context.close();
    assert.deepEqual(faults, []);
  };
  /** What this flow provokes. */
  const expect = (...statuses) => statuses.forEach((status) => refused.add(status));
  return { page, finish, expect };
}

export async function signIn(page, as = key) {
  await page.goto(`${api}/`);
  await page.getByLabel("API key").fill(as);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.getByRole("heading", { level: 1, name: "Overview" }).waitFor();
}

export async function place(page, name) {
  await page.getByRole("navigation", { name: "Places" }).getByRole("link", { name, exact: true }).click();
}

/** Waits until `look` gives something true. */
export async function until(what, look, within = WITHIN_MS) {
  const end = Date.now() + within;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert.ok(Date.now() < end, `not within ${within / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** What axe finds against WCAG 2.2 AA, and against its best practices. */
export async function accessible(page, where) {
  await page.evaluate(AXE);
  const found = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  const told = found.violations.map(({ id, help, nodes }) => `${id}: ${help}: ${nodes.map((node) => `${node.html} (${node.failureSummary})`).join("; ")}`);
  assert.deepEqual(told, [], `axe on ${where}`);
  const over = await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth);
  assert.ok(over <= 0, `${where} is ${over} px wider than the screen`);
}

export async function shot(page, name) {
  if (shots) await page.screenshot({ path: join(shots, `${name}.png`) });
}
