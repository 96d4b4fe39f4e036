/** What is plotted of a row, by its type: series over time, as the API's own buckets have them. */

import { ask } from "./api";
import { PLOTS_DEPLOYMENT, PLOTS_MODEL, PLOTS_SERVICE, PLOTS_TWIN } from "./generated/operations";
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

const DAY = 86_400_000;
/** How far back is looked, in days. */
const BACK: Record<string, number> = { Model: 90, Deployment: 90, BentoService: 7 };
/** Types of which something is plotted. */
export const PLOTTED: ReadonlySet<string> = new Set([...Object.keys(BACK), "TwinModel"]);
/** Of so many metrics at most: beyond that colours are not told apart. */
const MOST = 5;

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

/** The plots of a row; none where nothing was measured. */
export async function plotsOf(id: string, type: string): Promise<PlotData[]> {
  const since = new Date(Date.now() - (BACK[type] ?? 0) * DAY).toISOString();
  const plots: PlotData[] = [];
  if (type === "Model" || type === "Deployment") {
    const row = type === "Model" ? (await ask(PLOTS_MODEL, { id, since })).data.model : (await ask(PLOTS_DEPLOYMENT, { id, since })).data.deployment;
    plots.push({
      title: `Largest drift score by day, ${BACK[type]} days`,
      unit: "FRACTION",
      series: seriesOf((row?.driftHistory?.aggregate ?? []).map(({ group, driftScore }) => ({ name: "drift score", at: group.createdAt, value: driftScore?.max }))),
    });
    plots.push({
      title: `Metrics by day, ${BACK[type]} days`,
      unit: "ROW_SCALE",
      series: seriesOf((row?.performanceMetrics?.aggregate ?? []).map(({ group, metricValue }) => ({ name: words(group.metricName ?? "metric"), at: group.measuredAt, value: metricValue?.avg }))),
    });
  } else if (type === "BentoService") {
    const rows = (await ask(PLOTS_SERVICE, { id, since })).data.bentoService?.metrics?.aggregate ?? [];
    const of = (name: string, value: (row: (typeof rows)[number]) => number | null | undefined) => rows.map((row) => ({ name, at: row.group.recordedAt, value: value(row) }));
    plots.push({ title: "Latency by hour, 7 days", unit: "MILLISECONDS", series: seriesOf([...of("p95, largest", (row) => row.p95LatencyMs?.max), ...of("p50, mean", (row) => row.p50LatencyMs?.avg)]) });
    plots.push({ title: "Errors by hour, 7 days", unit: "PERCENT", series: seriesOf(of("error rate", (row) => row.errorRate?.avg)) });
    plots.push({ title: "Requests by hour, 7 days", unit: "PER_SECOND", series: seriesOf(of("requests", (row) => row.requestsPerSecond?.avg)) });
  } else if (type === "TwinModel") {
    const rows = (await ask(PLOTS_TWIN, { id })).data.twinModel?.fidelityHistory?.nodes ?? [];
    const of = (name: string, value: (row: (typeof rows)[number]) => number | null) => rows.map((row) => ({ name, at: row.validatedAt, value: value(row) }));
    plots.push({ title: "Predicted and actual effect", unit: "ROW_SCALE", series: seriesOf([...of("predicted", (row) => row.simulatedAte), ...of("actual", (row) => row.actualAte)]) });
  }
  return plots.filter(({ series }) => series.length > 0);
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
