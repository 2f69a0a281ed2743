// Numbers, times and money as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const count = (value) => whole.format(value);
export const compact = (value) => (Math.abs(Number(value)) < 10_000 ? decimal(value) : short.format(value));

export function decimal(value) {
  const number = Number(value);
  return new Intl.NumberFormat("en", { maximumFractionDigits: Math.abs(number) < 10 && !Number.isInteger(number) ? 1 : 0 }).format(number);
}

/** How many of a thing: `1 event`, `2 events`. */
export const many = (number, one, more = `${one}s`) => `${count(number)} ${Number(number) === 1 ? one : more}`;

export function bytes(value) {
  let number = Number(value);
  for (const unit of ["B", "KiB", "MiB", "GiB"]) {
    if (Math.abs(number) < 1024) return `${decimal(number)} ${unit}`;
    number /= 1024;
  }
  return `${decimal(number)} TiB`;
}

export function duration(ms) {
  if (ms < 1) return `${Math.round(ms * 1000)} µs`;
  if (ms < 1000) return `${Math.round(ms)} ms`;
  if (ms < 60_000) return `${decimal(ms / 1000)} s`;
  if (ms < 3_600_000) return `${decimal(ms / 60_000)} min`;
  return `${decimal(ms / 3_600_000)} h`;
}

const pad = (number, digits = 2) => String(number).padStart(digits, "0");

export function clock(time, millis = false) {
  const at = new Date(time);
  if (Number.isNaN(at.getTime())) return String(time ?? "");
  const text = `${pad(at.getHours())}:${pad(at.getMinutes())}:${pad(at.getSeconds())}`;
  return millis ? `${text}.${pad(at.getMilliseconds(), 3)}` : text;
}

/** Today's times without the date. The whole of it, with the zone, belongs into `title`. */
export function when(time) {
  const at = new Date(time);
  if (Number.isNaN(at.getTime())) return String(time ?? "");
  const day = at.toDateString() === new Date().toDateString();
  return day ? clock(at) : `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())} ${clock(at)}`;
}

/** Minor units in the currency's own way, exact at any size. */
export function money(minor, currency) {
  const form = new Intl.NumberFormat("en", { style: "currency", currency });
  const digits = form.resolvedOptions().maximumFractionDigits;
  const text = BigInt(minor).toString();
  const sign = text.startsWith("-") ? "-" : "";
  const all = text.replace("-", "").padStart(digits + 1, "0");
  const point = all.length - digits;
  return form.format(digits ? `${sign}${all.slice(0, point)}.${all.slice(point)}` : `${sign}${all}`);
}

const METERS = {
  events_in: ["Events in", count], events_out: ["Events out", count], bytes_in: ["Bytes in", bytes], bytes_out: ["Bytes out", bytes],
  rule_evaluations: ["Rules evaluated", count], deliveries: ["Deliveries", count],
  consumer_us: ["Time in consumers", (us) => duration(Number(us) / 1000)],
  memory_mib_us: ["Memory of consumers", (value) => `${decimal(Number(value) / 1e6)} MiB·s`],
};

export const meterName = (meter) => METERS[meter]?.[0] ?? meter;
export const meterValue = (meter, value) => (METERS[meter]?.[1] ?? count)(value);
export const METER_NAMES = Object.keys(METERS);
