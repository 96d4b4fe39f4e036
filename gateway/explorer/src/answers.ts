/** Questions about a row that a view of the lineage answers, and the answer in one sentence. */

import type { LineageNode } from "./api";
import { asCsv } from "./csv";
import { count } from "./format";
import type { Graph } from "./graph";
import { named, toneOf } from "./tones";
import { DEFAULTS, type View } from "./view";

export interface Question {
  label: string;
  about: string;
  view: Partial<View>;
}

const FAR = { depth: 4, per: 5 };

export const QUESTIONS: Question[] = [
  { label: "Why is it here?", about: "What it was made of: experiments, runs, features, decisions", view: { direction: "UPSTREAM", ...FAR } },
  { label: "What depends on it?", about: "Deployments, services, alerts and whatever else came of it", view: { direction: "DOWNSTREAM", ...FAR } },
  { label: "What broke?", about: "Drift, alerts and failures around it, and what they led to", view: { direction: "BOTH", depth: 3, per: 5, kinds: ["MONITORED_BY", "ALERTS_ON", "RAISES", "TRIGGERS", "CARRIED_OUT_AS", "DEPLOYED_AS", "SERVED_BY"] } },
];

export function viewOf(question: Question, id: string): Partial<View> {
  const { direction, depth, per, kinds } = { ...DEFAULTS, ...question.view };
  return { from: [id], selected: id, open: [], shut: [], pins: [], direction, depth, per, kinds };
}

/** What a view says of its start: what fed it, what depends on it, and what of that is in a bad way. */
export function sentence(graph: Graph, view: Pick<View, "from" | "direction" | "kinds" | "depth">): string {
  const start = graph.nodes.get(view.from[0] ?? "");
  const end = graph.nodes.get(view.from.at(-1) ?? "");
  if (start && end && start !== end && view.depth === 0) {
    return `From ${start.label} to ${end.label} it is ${count(view.from.length - 1, "edge")}${view.from.length > 2 ? `, over ${view.from.slice(1, -1).map((id) => graph.nodes.get(id)?.label ?? id).join(", ")}` : ""}.`;
  }
  if (!start || view.from.length !== 1 || graph.nodes.size < 2) return "";
  const others = [...graph.nodes.values()].filter(({ id }) => id !== start.id);
  const ailing = others.filter((node) => toneOf(node) === "bad");
  const lead = {
    UPSTREAM: `${start.label} came of`,
    DOWNSTREAM: `On ${start.label} depend`,
    BOTH: `Around ${start.label} are`,
  }[view.direction];
  const told = `${lead} ${graph.whole ? "" : "at least "}${byType(others)}.`;
  if (!ailing.length) return `${told} None of ${graph.whole ? "them" : "those that were read"} is failed or alerting.`;
  const first = ailing.slice(0, 2).map(({ label }) => label).join(", ");
  return `${told} ${graph.whole ? "" : "At least "}${count(ailing.length, "is", "are")} failed or alerting: ${first}${ailing.length > 2 ? " …" : "."}`;
}

function byType(nodes: LineageNode[]): string {
  const types = new Map<string, number>();
  for (const { type } of nodes) types.set(type, (types.get(type) ?? 0) + 1);
  const told = [...types].sort((a, b) => b[1] - a[1]).map(([type, many]) => `${many} ${named(many, type)}`);
  return told.length > 4 ? `${told.slice(0, 3).join(", ")} and ${told.length - 3} more kinds` : told.join(", ").replace(/, ([^,]*)$/, " and $1");
}

/** The nodes of a view as a table, with how many edges each has. */
export function asRows(graph: Graph): string {
  const head = ["id", "type", "label", "state", "health", "upstream", "downstream"];
  return asCsv(head, [...graph.nodes.values()].map(({ id, type, label, state, health, degree }) => [id, type, label, state, health, degree.upstream, degree.downstream]));
}
