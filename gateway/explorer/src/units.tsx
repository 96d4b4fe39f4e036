/** Numbers with their units, as `@fact` of the schema says them. */

import type { CellValue } from "./csv";
import { number, unitName } from "./format";

/** A number and its unit; `bare` where a heading says the unit already. */
export function UnitValue({ value, unit, bare = false }: { value: CellValue; unit: string; bare?: boolean }) {
  if (value === null || value === undefined) return null;
  if (typeof value !== "number" && typeof value !== "bigint") return <>{String(value)}</>;
  const sign = bare ? "" : unitName(unit, " ");
  return <span title={unit === "FRACTION" ? "a part of a whole: 1 is all of it" : undefined}>{number(value)}{sign && <span class="unit">{sign}</span>}</span>;
}
