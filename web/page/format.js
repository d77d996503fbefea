// Numbers as people read them.

const units = ["", "k", "M", "G", "T", "P"];
const none = "–";

const known = (x) => typeof x === "number" && Number.isFinite(x);

/** Returns a number with three digits and a unit prefix: 1.23 M. */
export function short(x, unit = "") {
  if (!known(x)) return none;
  let i = 0;
  while (Math.abs(x) >= 999.5 && i < units.length - 1) {
    x /= 1000;
    i++;
  }
  const digits = i === 0 && Number.isInteger(x) ? 0 : Math.max(0, 2 - Math.floor(Math.log10(Math.max(Math.abs(x), 1))));
  const after = units[i] + unit;
  return x.toFixed(digits) + (after ? "\u00a0" + after : "");
}

/** Returns a whole number with separators: 1,234,567. */
export const whole = (x) => (known(x) ? Math.round(x).toLocaleString("en") : none);

/** Returns a share of 0 to 1 in percent. */
export function percent(x) {
  if (!known(x)) return none;
  if (x === 0) return "0\u00a0%";
  if (x >= 0.995 && x < 1) return ">\u00a099\u00a0%"; // 100 % is full
  return (x < 0.0001 ? "<\u00a00.01" : (100 * x).toFixed(x < 0.01 ? 2 : x < 0.1 ? 1 : 0)) + "\u00a0%";
}

/** Returns a time of seconds in µs, ms or s. */
export function time(x) {
  if (!known(x)) return none;
  if (x === 0) return "0\u00a0s";
  if (x < 0.001) return (x * 1e6).toFixed(0) + "\u00a0µs";
  if (x < 1) return (x * 1e3).toFixed(x < 0.01 ? 2 : x < 0.1 ? 1 : 0) + "\u00a0ms";
  return x.toFixed(x < 10 ? 2 : 1) + "\u00a0s";
}

/** Returns how long something lasts: 3 d 4 h, 5 min 6 s. */
export function age(seconds) {
  if (!known(seconds)) return none;
  const parts = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const at = parts.findIndex(([length]) => seconds >= length);
  if (at < 0) return "0 s";
  const [length, unit] = parts[at];
  const text = Math.floor(seconds / length) + "\u00a0" + unit;
  const next = parts[at + 1];
  return next ? text + " " + Math.floor((seconds % length) / next[0]) + "\u00a0" + next[1] : text;
}

/** Returns a share, or NaN of nothing. */
export const share = (part, all) => (all > 0 ? part / all : NaN);

/** Returns an address with a port. */
export const end = (address, port) => (address.includes(":") ? `[${address}]:${port}` : `${address}:${port}`);
