/** How numbers and times are told. Times are those of the reader's clock; what they are in UTC is said beside them. */

const EVEN = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const MINUTE = 60_000;

/** Stands before the digits of a whole number that a double does not hold; JSON has no such character unescaped. */
const MARK = "\u0001";
/** A string, or a whole number of sixteen digits or more. */
const STRING_OR_LONG = /"(?:[^"\\]|\\.)*"|(?<![\d.eE+-])-?\d{16,}(?![\d.eE])/g;
const MARKED = /^\u0001(-?\d+)$/;

/** Reads JSON without losing digits: whole numbers beyond 2^53 are BigInts. */
export function parse(text: string): unknown {
  return /\d{16}/.test(text) ? JSON.parse(marked(text), unmarked) : JSON.parse(text);
}

/** JSON whose whole numbers beyond 2^53 are texts that `unmarked`, as the reviver of `JSON.parse`, makes BigInts of. */
export function marked(text: string): string {
  return text.replace(STRING_OR_LONG, (token) =>
    token.startsWith('"') || Number.isSafeInteger(Number(token)) ? token : `"\\u0001${token}"`,
  );
}

export function unmarked(_key: string, value: unknown): unknown {
  const digits = typeof value === "string" && MARKED.exec(value)?.[1];
  return digits ? BigInt(digits) : value;
}

/** As JSON, BigInts as the numbers that they are. */
export function json(value: unknown, indent?: number): string {
  const marked = JSON.stringify(value, (_key, one: unknown) => (typeof one === "bigint" ? `${MARK}${one}` : one), indent);
  return marked.replaceAll(/"\\u0001(-?\d+)"/g, "$1");
}

/** A number with all digits of a whole one, and six behind the point. */
export function number(value: number | bigint): string {
  return value.toLocaleString("en", { maximumFractionDigits: 6 });
}

/** A count of whole things with its noun: 1 alert, 2 alerts. */
export function count(of: number | bigint, noun: string, plural = `${noun}s`): string {
  return `${EVEN.format(of)} ${of == 1 ? noun : plural}`;
}

/** How many rows a list has; the least number that it has where this is not exact. */
export interface Counted {
  totalCount: number;
  totalCountIsExact: boolean;
}

/** How many rows a list has, with their noun: 1 alert, more than 10,000 alerts, an unknown number of alerts. */
export function counted({ totalCount, totalCountIsExact }: Counted, noun: string): string {
  if (totalCountIsExact) return count(totalCount, noun);
  return totalCount > 0 ? `more than ${count(totalCount - 1, noun)}` : `an unknown number of ${noun}s`;
}

/** A figure between 0 and 1 or thereabouts, told so that two of them can be compared. */
export function figure(value: number): string {
  return value.toLocaleString("en", { maximumFractionDigits: 3, minimumFractionDigits: 3 });
}

/** Day and time on the reader's clock, to the minute. */
export function local(at: string, zone?: string): string {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return at;
  return date.toLocaleString("en-GB", {
    year: "numeric", month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", timeZone: zone,
  });
}

/** A name with the times in it on the reader's clock. */
export function dated(name: string): string {
  return name.replace(/\d{4}-\d\d-\d\dT\d\d:\d\d:[\d.]+Z/g, (at) => local(at));
}

/** The same in UTC, to the second. */
export function utc(at: string): string {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? at : `${date.toISOString().slice(0, 19).replace("T", " ")} UTC`;
}

/** How long ago, in the largest unit that says it: 5 min ago, 3 h ago, 12 days ago. */
export function ago(at: string, now = Date.now()): string {
  const minutes = Math.round((now - new Date(at).getTime()) / MINUTE);
  if (Number.isNaN(minutes)) return at;
  if (minutes < 1) return minutes < -1 ? local(at) : "just now";
  if (minutes < 60) return `${minutes} min ago`;
  if (minutes < 48 * 60) return `${Math.round(minutes / 60)} h ago`;
  return `${EVEN.format(Math.round(minutes / 60 / 24))} days ago`;
}

/** What is written behind a number. Of the others (fractions, orders, scales of the row) nothing is. */
const SIGNS: Record<string, string> = {
  PERCENT: "%", MILLISECONDS: "ms", SECONDS: "s", DAYS: "days", WEEKS: "weeks", MONTHS: "months", YEARS: "years", BYTES: "bytes",
  MEGABYTES: "MB", USD: "USD", MULTIPLE: "×", TOKENS: "tokens", PER_SECOND: "per s", POINTS_OF_5: "of 5", POINTS_OF_100: "of 100",
};
/** The sign of a unit between two texts; nothing where it has none. */
export function unitName(unit: string, before = "", after = ""): string {
  return SIGNS[unit] ? before + SIGNS[unit] + after : "";
}
