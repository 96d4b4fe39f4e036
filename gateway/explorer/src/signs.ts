/** A sign of what a row is, beside its type in words: a path in a square of 16 units, which is stroked. */

const SIGNS: [RegExp, string][] = [
  [/Alert|Srm/, "M8 2 15 14H1zM8 6v4M8 12v.5"],
  [/Drift|Metric|Performance|Latency|Quality|Fidelity|Result|Importance|Roi|Cost/, "M2 2v12h12M4 11l3-4 3 2 4-5"],
  [/Twin|Simulation/, "M6 3a4 4 0 1 0 0 8 4 4 0 0 0 0-8zM10 5a4 4 0 1 1 0 8 4 4 0 0 1 0-8z"],
  [/Deployment|Service|Serving|Tool|Span/, "M2 3h12v4H2zM2 9h12v4H2zM4 5h1M4 11h1"],
  [/Feature|Source|Materialization|Freshness|Dataset/, "M2 4c0-3 12-3 12 0v8c0 3-12 3-12 0zM2 4c0 3 12 3 12 0M2 8c0 3 12 3 12 0"],
  [/Cohort|Patient|Enrollment|Assignment|Expert/, "M8 2a3 3 0 1 0 0 6 3 3 0 0 0 0-6zM2 14c0-6 12-6 12 0"],
  [/Run|Trial|Job|Retraining|Execution|Study/, "M4 2l10 6-10 6z"],
  [/Dag|Causal|Discover|Ranking|Gate|Refutation/, "M3 3h3v3H3zM10 10h3v3h-3zM10 2h3v3h-3zM6 5l4 6M6 4h4"],
  [/Experiment|Test|Interim|Analysis/, "M6 2h4M7 2v4l-5 8h12L9 6V2M4.5 10h7"],
  [/Model|Prompt|Instruction/, "M8 1l6 3.5v7L8 15l-6-3.5v-7zM2 4.5 8 8l6-3.5M8 8v7"],
  [/Action|Decision|Review|Evaluation|Feedback|Event/, "M2 8a6 6 0 1 0 12 0A6 6 0 0 0 2 8zM5 8l2 2 4-4"],
];
const OTHER = "M3 3h10v10H3z";

export function signOf(type: string): string {
  return SIGNS.find(([names]) => names.test(type))?.[1] ?? OTHER;
}
