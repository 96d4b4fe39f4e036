/** What has become of a lineage in the last days: what was added, has gone and was changed, and what cannot be known. */

import { useEffect, useState } from "preact/hooks";
import { ask } from "./api";
import { count } from "./format";
import { DIFF, type DiffQuery } from "./generated/operations";
import { Time } from "./shell";
import { typeName, words } from "./tones";
import type { View } from "./view";

export type Mark = "added" | "gone" | "changed";
export type Diff = NonNullable<DiffQuery["lineageDiff"]>;

const DAY = 86_400_000;
/** So many days back at most. */
export const FURTHEST = 180;
const LISTED = 60;

export async function diffOf(view: View, asOf: string): Promise<Diff | null> {
  const between = [new Date(Date.parse(asOf) - view.since * DAY).toISOString(), asOf];
  const { data } = await ask(DIFF, {
    between,
    from: view.from,
    direction: view.direction,
    maxDepth: view.depth,
    perNodeLimit: view.per,
    through: view.kinds.length ? view.kinds : null,
  });
  return data.lineageDiff;
}

/** How nodes are marked in the drawing. What was added and changed since is new. */
export function marks(diff: Diff): Map<string, Mark> {
  const found = new Map<string, Mark>();
  for (const { node } of diff.changed) found.set(node.nodeId, "changed");
  for (const { nodeId } of diff.removed.nodes) found.set(nodeId, "gone");
  for (const { nodeId } of diff.added.nodes) found.set(nodeId, "added");
  return found;
}

/** The slider. What is dragged over is shown at once and asked for when it is let go. */
export function Since({ days, onChange }: { days: number; onChange(days: number): void }) {
  const [at, setAt] = useState(days);
  useEffect(() => setAt(days), [days]);
  return (
    <label class="since">
      Changes of <input
        type="range" min="0" max={FURTHEST} step="1" value={at}
        aria-valuetext={at ? count(at, "day") : "off"}
        onInput={(event) => setAt(Number(event.currentTarget.value))}
        onChange={(event) => onChange(Number(event.currentTarget.value))}
      /> <output>{at ? count(at, "day") : "off"}</output>
    </label>
  );
}

/** The answer in words, with each row as a link. */
export function Changes({ diff, days, shown, onSelect }: { diff: Diff; days: number; shown(id: string): boolean; onSelect(id: string): void }) {
  const row = ({ nodeId, label, type }: Diff["added"]["nodes"][number]) => (
    <button class="link" onClick={() => onSelect(nodeId)}>{typeName(type)} {label}{shown(nodeId) ? "" : " (not in this view)"}</button>
  );
  const [added, gone, changed] = [diff.added.nodes, diff.removed.nodes, diff.changed];
  return (
    <details class="diff">
      <summary>
        <b>In {count(days, "day")}</b>: <span class="mark-added">{added.length} added</span>, <span class="mark-gone">{gone.length} out of use</span>, <span class="mark-changed">{count(changed.length, "change")}</span>
        {!diff.complete && <> · partial: {diff.reason}</>}
      </summary>
      <ul>
        {changed.slice(0, LISTED).map((one) => (
          <li key={one.node.nodeId + one.at + one.lifecycle}>
            <Time at={one.at} /> {row(one.node)}: {one.lifecycle ? <>{words(one.from ?? "made")} → <b>{words(one.to ?? "")}</b>{one.actor && ` by ${one.actor}`}</> : "updated, by what is not recorded"}
          </li>
        ))}
        {gone.slice(0, LISTED).map((one) => <li key={one.nodeId}>out of use: {row(one)}</li>)}
        {added.slice(0, LISTED).map((one) => <li key={one.nodeId}>added: {row(one)}</li>)}
        {Math.max(added.length, gone.length, changed.length) > LISTED && <li>Of each, {LISTED} are listed.</li>}
        {diff.unknown.map((one) => <li key={one} class="dim">Not known: {one}</li>)}
      </ul>
    </details>
  );
}
