/** What happened to a row: recorded changes and the times that the row itself holds, as one list, newest first. */

import type { Field, Lifecycle } from "./api";
import { words } from "./tones";

export interface Moment {
  at: string;
  what: string;
  /** Who, why, and the recorded event, where it is one. */
  actor?: string;
  reason?: string | null;
  event?: string;
}

const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d/;
/** Times that say nothing of their own beside the others. */
const SILENT = new Set(["updatedAt"]);

export function timeline(fields: Field[], history: Lifecycle["history"]): Moment[] {
  const recorded = (history?.nodes ?? []).map(({ id, fromState, toState, actor, reason, forced, occurredAt }) => ({
    at: occurredAt,
    what: `${words(fromState ?? "made")} → ${words(toState)}${forced ? ", forced" : ""}`,
    actor,
    reason,
    event: id,
  }));
  const own = fields.flatMap(({ name, value }): Moment[] => {
    if (typeof value !== "string" || !INSTANT.test(value) || SILENT.has(name)) return [];
    return [{ at: value, what: words(name.replace(/([A-Z])/g, "_$1").replace(/_at$/i, "")) }];
  });
  return [...recorded, ...own].sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
}
