/** Numbers with their units, as `@fact` of the schema says them. */

import type { CellValue } from "./csv";
import { number } from "./format";

/** What is written behind a number. Of the others (fractions, orders, scales of the row) nothing is. */
const SIGNS: Record<string, string> = {
  PERCENT: "%", MILLISECONDS: "ms", SECONDS: "s", DAYS: "days", WEEKS: "weeks", MONTHS: "months", YEARS: "years", BYTES: "bytes",
  MEGABYTES: "MB", USD: "USD", MULTIPLE: "×", TOKENS: "tokens", PER_SECOND: "per s", POINTS_OF_5: "of 5", POINTS_OF_100: "of 100",
};
/** The sign of a unit between two texts; nothing where it has none. */
export function unitName(unit: string, before = "", after = ""): string {
  return SIGNS[unit] ? before + SIGNS[unit] + after : "";
}

/** A number and its unit; `bare` where a heading says the unit already. */
export function UnitValue({ value, unit, bare = false }: { value: CellValue; unit: string; bare?: boolean }) {
  if (value === null || value === undefined) return null;
  if (typeof value !== "number" && typeof value !== "bigint") return <>{String(value)}</>;
  const sign = bare ? "" : unitName(unit, " ");
  return <span title={unit === "FRACTION" ? "a part of a whole: 1 is all of it" : undefined}>{number(value)}{sign && <span class="unit">{sign}</span>}</span>;
}
