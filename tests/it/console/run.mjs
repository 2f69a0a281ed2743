// `node run.mjs FLOW`: one flow in a browser of its own. Whatever fails is told with the page's last words.

import { launch } from "./browser.mjs";

const { default: flow } = await import(`./${process.argv[2]}.mjs`);
const browser = await launch();
try {
  await flow(browser);
  console.log(`${process.argv[2]}: good`);
} catch (cause) {
  for (const page of browser.contexts().flatMap((context) => context.pages())) {
    const said = await page.locator("body").innerText({ timeout: 2_000 }).catch(() => "(nothing)");
    console.error(`the page at ${page.url()} says:\n${said.slice(0, 3_000)}\n`);
  }
  console.error(cause.stack ?? cause);
  process.exitCode = 1;
} finally {
  await browser.close();
}
