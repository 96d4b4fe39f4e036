/**
 * What is plotted of a row over time, by its type. Plain JavaScript for the reason that ./built.js tells.
 *
 * @typedef {object} Source
 * @property {string} list A list of rows below the row.
 * @property {string} time Their time.
 * @property {"DAY" | "HOUR"} [bucket] They are summed up by it; each stands for itself without it.
 * @property {number} [days] How far back; all of them otherwise, at most MOST.
 * @property {string} [by] The field whose values are series of their own.
 * @property {{ title: string, unit: string, values: Record<string, string> }[]} plots By the names of series: the field
 *   and, of a bucket, what is made of it. `unit` is the one that `@fact` of the schema gives the field.
 */

/** Rows that stand for themselves, the newest. */
const MOST = 200;

/** @type {Source} */
const DRIFT = { list: "driftHistory", time: "createdAt", bucket: "DAY", days: 90, plots: [{ title: "Largest drift score by day, 90 days", unit: "FRACTION", values: { "drift score": "driftScore max" } }] };
/** @type {Source} */
const METRICS = { list: "performanceMetrics", time: "measuredAt", bucket: "DAY", days: 90, by: "metricName", plots: [{ title: "Metrics by day, 90 days", unit: "ROW_SCALE", values: { metric: "metricValue avg" } }] };

/** @type {Record<string, Source[]>} */
export const PLOTTED = {
  Model: [DRIFT, METRICS],
  Deployment: [DRIFT, METRICS],
  Experiment: [
    { list: "assignments", time: "assignedAt", bucket: "DAY", plots: [{ title: "Units assigned by day", unit: "COUNT", values: { assigned: "count" } }] },
    {
      list: "interimAnalyses", time: "performedAt", plots: [
        { title: "Effect at each interim analysis", unit: "ROW_SCALE", values: { effect: "effectEstimate", "interval from": "effectCiLower", to: "effectCiUpper" } },
        { title: "Alpha spent", unit: "FRACTION", values: { alpha: "cumulativeAlphaSpent" } },
      ],
    },
    { list: "fidelityComparisons", time: "comparisonTimestamp", plots: [{ title: "Predicted and actual effect", unit: "ROW_SCALE", values: { predicted: "predictedEffect", actual: "actualEffect" } }] },
    DRIFT,
    METRICS,
  ],
  Feature: [DRIFT],
  FeatureView: [
    { list: "freshness", time: "recordedAt", bucket: "HOUR", days: 7, plots: [{ title: "Staleness by hour, 7 days", unit: "SECONDS", values: { "staleness, largest": "stalenessSeconds max", "data lag, largest": "dataLagSeconds max" } }] },
    { list: "materializationJobs", time: "startedAt", plots: [{ title: "Duration of materializations", unit: "SECONDS", values: { duration: "durationSeconds" } }] },
  ],
  BentoService: [
    {
      list: "metrics", time: "recordedAt", bucket: "HOUR", days: 7, plots: [
        { title: "Latency by hour, 7 days", unit: "MILLISECONDS", values: { "p95, largest": "p95LatencyMs max", "p50, mean": "p50LatencyMs avg" } },
        { title: "Errors by hour, 7 days", unit: "PERCENT", values: { "error rate": "errorRate avg" } },
        { title: "Requests by hour, 7 days", unit: "PER_SECOND", values: { requests: "requestsPerSecond avg" } },
      ],
    },
  ],
  TwinModel: [{ list: "fidelityHistory", time: "validatedAt", plots: [{ title: "Predicted and actual effect", unit: "ROW_SCALE", values: { predicted: "simulatedAte", actual: "actualAte" } }] }],
  HpoStudy: [{ list: "trials", time: "datetimeComplete", plots: [{ title: "Value of each trial", unit: "ROW_SCALE", values: { value: "value" } }] }],
  PromptAbTest: [{
    list: "observations", time: "createdAt", bucket: "DAY", by: "variant", plots: [
      { title: "Score by day", unit: "FRACTION", values: { score: "score avg" } },
      { title: "Latency by day", unit: "MILLISECONDS", values: { latency: "latencyMs avg" } },
    ],
  }],
  PromptOptimizationRun: [{ list: "instructions", time: "createdAt", plots: [{ title: "Score of each instruction", unit: "FRACTION", values: { score: "valScore" } }] }],
  Tool: [{ list: "performance", time: "executedAt", bucket: "DAY", days: 90, plots: [{ title: "Latency by day, 90 days", unit: "MILLISECONDS", values: { mean: "latencyMs avg", largest: "latencyMs max" } }] }],
  CohortDefinition: [{
    list: "executions", time: "executionTimestamp", plots: [
      { title: "Rows of each execution", unit: "COUNT", values: { eligible: "eligibleRowCount", excluded: "excludedRowCount" } },
      { title: "Duration of each execution", unit: "MILLISECONDS", values: { duration: "executionTimeMs" } },
    ],
  }],
  AgentLatencySummary: [{ list: "spans", time: "startedAt", bucket: "DAY", days: 30, plots: [{ title: "Duration of spans by day, 30 days", unit: "MILLISECONDS", values: { mean: "durationMs avg", largest: "durationMs max" } }] }],
};

/** @param {string} name */
const constant = (name) => name.replace(/([A-Z])/g, "_$1").toUpperCase();

/**
 * What is asked for the plots of a type; its sources are `p0`, `p1`, ...
 * @param {string} type
 */
export function plotsOf(type) {
  const asked = PLOTTED[type].map(({ list, time, bucket, days, by, plots }, at) => {
    const values = [...new Set(plots.flatMap((plot) => Object.values(plot.values)))];
    const where = days ? `where: { ${time}: { gte: "now-${days}d" } }` : "";
    if (!bucket) return `p${at}: ${list}(first: ${MOST}, orderBy: [{ field: ${constant(time)}, direction: DESC }]${where && `, ${where}`}) { nodes { ${[time, ...values].join(" ")} } }`;
    /** @type {Record<string, string>} */
    const made = {};
    for (const [field, of = ""] of values.map((value) => value.split(" "))) made[field] = `${made[field] ?? ""} ${of}`;
    const fields = Object.entries(made).map(([field, of]) => (of.trim() ? `${field} {${of} }` : field));
    const groups = [`{ field: ${constant(time)}, bucket: ${bucket} }`, ...(by ? [`{ field: ${constant(by)} }`] : [])];
    return `p${at}: ${list}${where && `(${where})`} { aggregate(groupBy: [${groups.join(", ")}]) { group { ${[time, by].filter(Boolean).join(" ")} } ${fields.join(" ")} } }`;
  });
  return `query Plots($id: ID!) { node(id: $id) { id ... on ${type} { ${asked.join(" ")} } } }`;
}
