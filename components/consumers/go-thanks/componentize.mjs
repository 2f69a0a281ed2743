// node componentize.mjs CORE.wasm COMPONENT.wasm: what `wasm-tools component embed` and `component new` do. (jco's own
// `embed` can't choose among several worlds.)
import { readFile, writeFile } from "node:fs/promises";
import { resolve } from "node:path";
import { componentEmbed, componentNew, preview1AdapterReactorPath } from "@bytecodealliance/jco";

const [core, component] = process.argv.slice(2);
const adapter = await readFile(preview1AdapterReactorPath());
const embedded = await componentEmbed({
  binary: await readFile(core),
  witPath: resolve("wit"),
  world: "consumer-component",
});
await writeFile(component, await componentNew(embedded, [["wasi_snapshot_preview1", adapter]]));
