/** Rows whose lineage was opened in this tab, the latest first; the search offers them before anything is typed. */

import type { Hit } from "./api";

const KEY = "console.recent";
const MOST = 8;

export function recent(): Hit[] {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY) ?? "[]") as unknown;
    const is = (one: unknown): one is Hit => {
      const { id, type, label } = (one ?? {}) as Partial<Hit>;
      return [id, type, label].every((text) => typeof text === "string");
    };
    return Array.isArray(kept) ? kept.filter(is) : [];
  } catch {
    return []; // of another version
  }
}

export function visited({ id, type, label }: Pick<Hit, "id" | "type" | "label">): void {
  const others = recent().filter((one) => one.id !== id);
  sessionStorage.setItem(KEY, JSON.stringify([{ id, type, label, why: "", time: null, of: null }, ...others].slice(0, MOST)));
}
