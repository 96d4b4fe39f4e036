/** How things are told: colours of states, names, counts.
 *
 * Colours are five tones, since states are many. The state's name is always written beside its colour. */

export type Tone = "good" | "busy" | "bad" | "old" | "info" | "none";

const STATES: Record<Exclude<Tone, "none" | "info">, string> = {
  good: `production active success completed complete passed pass approved deployed resolved healthy proceed promoted
    excellent good stop_efficacy validated fulfilled`,
  busy: `running pending staging shadow waiting deploying draining acknowledged investigating warning review queued
    modify_sample in_progress training continue firing fair degraded`,
  bad: `failed fail error timeout rolled_back block blocked rejected stop_safety stop_futility critical lost_to_followup
    unhealthy open poor`,
  old: "archived deprecated dismissed withdrawn skipped retired cancelled expired pruned excluded inactive superseded",
};
const TONES = new Map<string, Tone>(
  Object.entries(STATES).flatMap(([tone, names]) => names.split(/\s+/).map((name) => [name, tone as Tone] as const)),
);

export const LEGEND: [Tone, string][] = [
  ["good", "in use, done"],
  ["busy", "under way"],
  ["bad", "failed, stopped, alerting"],
  ["old", "out of use"],
  ["info", "other state"],
  ["none", "no state"],
];

/** Severities of drift and alerts, the worst first. */
export const SEVERITIES: [string, Tone | "mild" | "severe"][] = [["CRITICAL", "bad"], ["HIGH", "severe"], ["MEDIUM", "busy"], ["LOW", "mild"], ["NONE", "good"]];

export function severityTone(severity: string | null | undefined): Tone | "mild" | "severe" {
  return SEVERITIES.find(([name]) => name === severity)?.[1] ?? "info";
}

/** An alert that is active is none that all is well with. */
export function tone(state: string | null, type?: string): Tone {
  if (type === "MonitoringAlert" && state === "ACTIVE") return "bad";
  return state ? (TONES.get(state.toLowerCase()) ?? "info") : "none";
}

/** Healths that a row's state hides: a model in production is in use, and may be in a bad way. */
const AILING: Record<string, Tone> = { critical: "bad", warning: "busy" };

/** The health that a row's state hides, if it is in a bad way. */
export function ailment({ health }: { health?: string | null }): string | null {
  return health && AILING[health] ? health : null;
}

/** The tone of a row whose health is known. Its state is what it is in, its health how it does there. Of many rows the worst. */
export function toneOf({ state, type, health, stack }: { state: string | null; type: string; health?: string | null; stack?: { tones: Map<Tone, number> } }): Tone {
  if (stack) return [...stack.tones.keys()].sort((a, b) => WORST.indexOf(a) - WORST.indexOf(b))[0]!;
  return AILING[health ?? ""] ?? tone(state, type);
}

const WORST: Tone[] = ["bad", "busy", "info", "good", "old", "none"];

/** A state, and the health that it hides, in words. */
export function standing({ state, health, stack }: { state: string | null; health?: string | null; stack?: { members: { state: string | null }[]; more: number } }): string {
  if (stack) return [...counts(stack.members.map((one) => one.state)), stack.more && `${stack.members.length.toLocaleString("en")} read`].filter(Boolean).join(", ");
  return [state && words(state), ailment({ health })].filter(Boolean).join(", ");
}

export function words(name: string): string {
  return name.replace(/_/g, " ").toLowerCase();
}

/** Said of a count with a plus behind it. */
export const AT_LEAST = "at least so many, they are not counted to the end";

/** A count, with a plus behind it where it was not counted to the end. */
export function amount(count: number, capped: boolean): string {
  return count.toLocaleString("en") + (capped ? "+" : "");
}

/** TrainingRun as "Training run". */
export function typeName(type: string): string {
  const apart = type.replace(/([a-z])([A-Z])/g, "$1 $2");
  return apart[0]! + apart.slice(1).toLowerCase();
}

/** The same of several rows, not at the beginning of a sentence: training runs, analyses. */
export function named(many: number, type: string): string {
  const noun = typeName(type).toLowerCase();
  if (many === 1) return noun;
  if (noun.endsWith("sis")) return noun.replace(/sis$/, "ses");
  return noun.replace(/(?:([^aeiou])y|(s|x|ch))$/, (_all, y?: string, s?: string) => (y ? `${y}ie` : `${s}e`)) + "s";
}

/** How many are in each state, those in a bad way first: "2 failed", "57 completed". */
function counts(states: (string | null)[]): string[] {
  const found = new Map<string, number>();
  for (const state of states) if (state) found.set(state, (found.get(state) ?? 0) + 1);
  const order = (state: string) => WORST.indexOf(tone(state));
  return [...found].sort((a, b) => order(a[0]) - order(b[0]) || b[1] - a[1]).map(([state, many]) => `${many} ${words(state)}`);
}
