// What was used, by window and meter, and what it costs: the month's draft and the invoices before.

import { ask, json, segment } from "../api.js";
import { h, show } from "../dom.js";
import { METER_NAMES, meterName, meterValue, money, when } from "../format.js";
import { Plot } from "../plot.js";
import { session } from "../session.js";
import { badge, blank, button, facts, field, loaded, problem, segments, table, told } from "../ui.js";

const HOUR_MS = 3_600_000;
const WINDOWS = { minute: ["Minutes", 60 * 60_000], hour: ["Hours", 48 * HOUR_MS], day: ["Days", 31 * 24 * HOUR_MS], month: ["Months", 366 * 24 * HOUR_MS] };
const STATES = { draft: "info", issued: "good", void: "warn" };

export function usage({ signal }) {
  const tenant = segment(session.current.tenant);
  const used = h("div", {});
  const bills = h("div", {});
  let window = "hour";
  let meter = "events_in";

  const report = () => loaded(used, "usage", async () => {
    const from = new Date(Math.floor((Date.now() - WINDOWS[window][1]) / 60_000) * 60_000).toISOString();
    const { rows } = await json(`/usage/${tenant}`, { named: true, signal, query: { window, from } });
    if (rows.length === 0) return blank("Nothing was used in this time", "Usage is counted where events pass, and shown a few seconds later.");
    return measured(rows, window, meter, (chosen) => { meter = chosen; report(); });
  }, signal);
  const invoices = () => loaded(bills, "invoices", async () => {
    const items = await billed(tenant, signal);
    if (!items) return blank("No plan, so nothing to pay", "An operator gives this tenant a plan; from then on the month's draft is here.");
    const place = h("div", {});
    const pick = h("select", { onchange: () => { show(place); bill(place, tenant, pick.value, signal); } },
      items.map((item) => h("option", { value: item.id }, `${item.id} · ${item.state} · ${money(item.total_minor, item.currency)}`)));
    if (items.length) bill(place, tenant, items[0].id, signal);
    return [h("div", { class: "card-body" }, field("Invoice", pick)), place];
  }, signal);
  report();
  invoices();
  return [
    h("div", { class: "head" }, h("div", {}, h("h1", { tabindex: "-1" }, "Usage and invoices"), h("p", {}, "Counted where events pass, to the unit; all times of windows are UTC."))),
    h("div", { class: "stack" },
      h("section", { class: "card", "aria-label": "Usage" }, h("div", { class: "card-head" }, h("h2", {}, "Usage"),
        segments("By", Object.entries(WINDOWS).map(([name, [label]]) => [name, label]), window, (name) => { window = name; show(used); report(); })), used),
      h("section", { class: "card", "aria-label": "Invoices" }, h("div", { class: "card-head" }, h("h2", {}, "Invoices"), button("Look again", () => { show(bills); return invoices(); }, { tone: "tiny" })), bills)),
  ];
}

function measured(rows, window, meter, choose) {
  const totals = new Map();
  const points = new Map();
  for (const { window: of, meter: name, quantity } of rows) {
    totals.set(name, (totals.get(name) ?? 0n) + BigInt(quantity));
    if (name !== meter) continue;
    points.set(Date.parse(of.from), Number(quantity));
  }
  const time = (at) => new Date(at).toISOString().slice(...{ minute: [11, 16], hour: [5, 16], day: [5, 10], month: [0, 7] }[window]).replace("T", " ");
  const plot = new Plot({ label: `${meterName(meter)} by ${window}`, empty: "None in this time", time, format: (value) => meterValue(meter, Math.round(value)), series: [{ name: "used", label: meterName(meter) }] });
  plot.draw(filled(points, window));
  const pick = h("select", { onchange: () => choose(pick.value) }, METER_NAMES.map((name) => h("option", { value: name, selected: name === meter }, meterName(name))));
  return h("div", { class: "measured" },
    h("div", { class: "card-body stack" }, field("Meter", pick), plot.element),
    table("Sums of this time", ["Meter", { text: "Sum", number: true }], METER_NAMES.filter((name) => totals.has(name)).map((name) => h("tr", {},
      h("th", { scope: "row" }, meterName(name)), h("td", { class: "number" }, meterValue(name, totals.get(name)))))));
}

/** Windows of nothing have no row, and are drawn as nothing. */
function filled(points, window) {
  const step = { minute: 60_000, hour: HOUR_MS, day: 24 * HOUR_MS }[window];
  const known = [...points.keys()].sort((a, b) => a - b);
  if (!step || known.length === 0) return known.map((at) => ({ at, used: points.get(at) }));
  const end = Math.floor(Date.now() / step) * step;
  const from = Math.floor((Date.now() - WINDOWS[window][1]) / step) * step;
  const own = new Map(known.map((at) => [Math.floor(at / step) * step, points.get(at)]));
  return Array.from({ length: Math.round((end - from) / step) + 1 }, (_, index) => ({ at: from + index * step, used: own.get(from + index * step) ?? 0 }));
}

// === invoices ===

/** Invoices, newest first; none where there is no plan to charge by. */
async function billed(tenant, signal) {
  try {
    return (await json(`/invoices/${tenant}`, { named: true, signal })).items;
  } catch (cause) {
    if (cause.status === 404) return null;
    throw cause;
  }
}

function bill(place, tenant, id, signal) {
  return loaded(place, "the invoice", async () => {
    const invoice = await json(`/invoice/${tenant}/${segment(id)}`, { named: true, signal });
    const proof = h("div", {});
    return h("div", {},
      h("div", { class: "card-body stack" },
        h("div", { class: "row between" }, h("div", {}, h("p", { class: "total" }, money(invoice.total_minor, invoice.currency)), h("p", { class: "soft small" }, "in all, ", invoice.state === "draft" ? "so far" : "owed")),
          badge(invoice.state, STATES[invoice.state] ?? "")),
        facts([["Period", `${invoice.period.from.slice(0, 10)} to ${invoice.period.to.slice(0, 10)}, the last day not included`], ["Issued", invoice.issued ? when(invoice.issued) : null]])),
      invoice.lines.length ? table(`Lines of ${id}`, ["For", "Plan", { text: "Quantity", number: true }, { text: "Amount", number: true }], invoice.lines.map((line) => h("tr", {},
        h("th", { scope: "row" }, lineName(line)), h("td", {}, line.plan ?? "–"), h("td", { class: "number" }, line.quantity === undefined ? "–" : line.meter ? meterValue(line.meter, line.quantity) : String(line.quantity)),
        h("td", { class: "number" }, money(line.amount_minor, invoice.currency))))) : blank("No lines", "Nothing of this month costs anything so far."),
      h("div", { class: "card-body stack" }, h("div", { class: "row" },
        button("Prove it", () => loaded(show(proof), "the proof", async () => proven(await json(`/invoice/${tenant}/${segment(id)}/proof`, { named: true, signal })), signal)),
        button("Download as CSV", () => download(tenant, id).catch((cause) => show(proof, problem(cause))))), proof));
  }, signal);
}

function lineName({ kind, meter, tier, corrects }) {
  const names = { fixed: "Monthly fee", minimum: "Up to the minimum", correction: "Correction" };
  const what = meter ? meterName(meter) : names[kind] ?? kind;
  const band = tier === undefined || tier === "all" ? "" : `, ${typeof tier === "object" ? `tier ${Object.values(tier)[0]}` : typeof tier === "number" ? `tier ${tier}` : tier}`;
  return `${kind === "correction" && meter ? "Correction: " : ""}${what}${band}${corrects ? ` (of ${corrects.invoice})` : ""}`;
}

/** The invoice was computed again from two sources; what differs is listed. */
function proven({ analytics, stream, stream_fault: fault }) {
  const said = (name, found) => h("li", {}, found === null ? badge(`${name}: not told`, "warn") : found.length ? badge(`${name}: ${found.length} differ`, "bad") : badge(`${name}: agrees`, "good"),
    found?.length ? h("ul", {}, found.map((one) => h("li", {}, `${one.meter ?? ""} ${one.what}: expected ${one.expected}, found ${one.found}`))) : null);
  return h("div", { class: "note", role: "status" }, h("p", {}, "Computed again from"), h("ul", { class: "bare stack" }, said("the analytics", analytics), said("the stream", stream)), fault ? h("p", {}, fault) : null);
}

async function download(tenant, id) {
  const answer = await ask(`/invoice/${tenant}/${segment(id)}`, { named: true, query: { format: "csv" }, headers: { accept: "text/csv" } });
  const url = URL.createObjectURL(await answer.blob());
  const link = h("a", { href: url, download: `${id}.csv` });
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
  told(`${id}.csv is downloaded.`);
}
