/** What is plotted of a row: series over time, as the API's own buckets have them. */

import { ask } from "./api";
import { PLOTTED, plotsOf as documentOf } from "./plotted";
import { words } from "./tones";

export interface Series {
  name: string;
  /** Milliseconds since 1970, in order, and the value then. */
  points: [number, number][];
}
export interface PlotData {
  title: string;
  unit: string;
  series: Series[];
}
type Line = Record<string, unknown>;
type Answer = { node: Record<string, { nodes?: Line[]; aggregate?: (Line & { group: Line })[] } | null> | null };

/** Of so many metrics at most: beyond that colours are not told apart. */
const MOST = 5;

/** Whether something is plotted of a type. */
export const isPlotted = (type: string) => type in PLOTTED;

/** Series of the rows of an answer that have a time and a value, by their names; those with most points first. */
export function seriesOf(rows: { name: string; at: string | null | undefined; value: number | null | undefined }[]): Series[] {
  const found = new Map<string, [number, number][]>();
  for (const { name, at, value } of rows) {
    if (!at || value === null || value === undefined) continue;
    found.set(name, [...(found.get(name) ?? []), [Date.parse(at), value]]);
  }
  const all = [...found].map(([name, points]) => ({ name, points: points.sort((a, b) => a[0] - b[0]) }));
  return all.sort((a, b) => b.points.length - a.points.length).slice(0, MOST);
}

/** The plots of an answer; none where nothing was measured. */
export function plotted(type: string, row: NonNullable<Answer["node"]>): PlotData[] {
  const plots = PLOTTED[type]!.flatMap(({ time, by, plots }, at) => {
    const { nodes = [], aggregate = [] } = row[`p${at}`] ?? {};
    const rows: (Line & { group?: Line })[] = [...nodes, ...(aggregate ?? [])];
    const line = (of: Line & { group?: Line }, name: string, value: string) => {
      const [field, made] = value.split(" ") as [string, string?];
      const told = made ? (of[field] as Line | null)?.[made] : of[field];
      return { name: by ? words(String(of.group?.[by] ?? name)) : name, at: (of.group ?? of)[time] as string | null, value: told === null || told === undefined ? null : Number(told) };
    };
    return plots.map(({ title, unit, values }) => ({ title, unit, series: seriesOf(Object.entries(values).flatMap(([name, value]) => rows.map((of) => line(of, name, value)))) }));
  });
  return plots.filter(({ series }) => series.length > 0);
}

export async function plotsOf(id: string, type: string): Promise<PlotData[]> {
  const { node } = (await ask<Answer>(documentOf(type), { id })).data;
  return node ? plotted(type, node) : [];
}

/** Series beside each other at the times of all of them, nulls where one has no value. */
export function aligned(series: Series[]): [number[], ...(number | null)[][]] {
  const times = [...new Set(series.flatMap(({ points }) => points.map(([at]) => at)))].sort((a, b) => a - b);
  const columns = series.map(({ points }) => {
    const known = new Map(points);
    return times.map((at) => known.get(at) ?? null);
  });
  return [times.map((at) => at / 1000), ...columns];
}
