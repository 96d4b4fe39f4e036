/** Many rows of a kind that are one card of the drawing: their states, and a table to take rows out of. */

import { useState } from "preact/hooks";
import { asCsv, download } from "./csv";
import { dated } from "./format";
import type { Stack } from "./graph";
import { State } from "./shell";
import { amount, standing, toneOf, words } from "./tones";

/** Rows of the table that are shown at once. */
const SHOWN = 200;

interface Props {
  stack: Stack;
  label: string;
  /** What they hang at. */
  parent: string;
  busy: boolean;
  onSelect(id: string): void;
  onPin(id: string): void;
  onMore(): void;
}

export function StackDetails({ stack, label, parent, busy, onSelect, onPin, onMore }: Props) {
  const [wanted, setWanted] = useState("");
  const { members, more, capped } = stack;
  const rank = ["bad", "busy", "info", "good", "old", "none"];
  const rows = [...members]
    .filter(({ label, state }) => `${label} ${dated(label)} ${words(state ?? "")}`.toLowerCase().includes(wanted.trim().toLowerCase()))
    .sort((a, b) => rank.indexOf(toneOf(a)) - rank.indexOf(toneOf(b)) || a.label.localeCompare(b.label, "en", { numeric: true }));
  const save = () => download("rows.csv", new Blob([asCsv(["id", "type", "label", "state"], rows.map(({ id, type, label, state }) => [id, type, label, state]))], { type: "text/csv" }));
  return (
    <section aria-label="Rows of one kind">
      <header>
        <p class="type">{words(stack.kind)}</p>
        <h2>{label}</h2>
        <p>{standing({ state: null, stack })}</p>
        <p class="dim">{stack.side === "UPSTREAM" ? "Upstream" : "Downstream"} of <button class="link" onClick={() => onSelect(stack.node)}>{parent}</button></p>
        <p class="actions">
          {more > 0 && <button disabled={busy} onClick={onMore}>Read on ({amount(more, capped)} more)</button>}
          <button onClick={save}>CSV</button>
        </p>
      </header>
      <p><label>Filter <input type="search" value={wanted} onInput={(event) => setWanted(event.currentTarget.value)} /></label> <small class="dim" role="status">{rows.length} of {members.length} that were read</small></p>
      <table class="small">
        <thead><tr><th scope="col">Name</th><th scope="col">State</th></tr></thead>
        <tbody>
          {rows.slice(0, SHOWN).map((row) => (
            <tr key={row.id} data-row={row.id}>
              <th scope="row"><button class="link" title="Take it out of the card" disabled={busy} onClick={() => onPin(row.id)}>{dated(row.label)}</button></th>
              <td>{row.state && <State state={row.state} type={row.type} />}</td>
            </tr>
          ))}
        </tbody>
      </table>
      {rows.length > SHOWN && <p class="dim">{SHOWN} are shown; a filter finds the others.</p>}
    </section>
  );
}
