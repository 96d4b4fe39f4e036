/** What is around the drawing: how it is walked, where a visitor may start, the token, and the colours. */

import { useEffect, useRef, useState } from "preact/hooks";
import { suggestions, type ApiError, type Direction, type Hit } from "./api";
import { Since } from "./diff";
import { choices, NO_STATE, type Filter } from "./filter";
import kinds from "./generated/kinds.json";
import type { Graph } from "./graph";
import { keepToken } from "./session";
import { typeName, words } from "./tones";
import { DEFAULTS, type View } from "./view";

type Scheme = "light" | "dark";

/** Which way to walk, how far, how many of each kind, and along which kinds of edges. */
export function Walks({ view, onChange, onSince }: { view: View; onChange(changes: Partial<View>): void; onSince(days: number): void }) {
  const toggle = (kind: string) =>
    onChange({ kinds: view.kinds.includes(kind) ? view.kinds.filter((one) => one !== kind) : [...view.kinds, kind] });
  return (
    <span class="walks">
      <label>Direction <select value={view.direction} onChange={(event) => onChange({ direction: event.currentTarget.value as Direction })}>
        <option value="BOTH">both</option><option value="UPSTREAM">upstream</option><option value="DOWNSTREAM">downstream</option>
      </select></label>
      <label>Depth <input type="number" min="0" max="30" value={view.depth} onChange={(event) => onChange({ depth: Number(event.currentTarget.value) || 0 })} /></label>
      <label class="per">Per kind <input type="number" min="1" max="500" value={view.per} onChange={(event) => onChange({ per: Number(event.currentTarget.value) || DEFAULTS.per })} /></label>
      <label title="Rows of one kind that hang at one node alone are one card, which opens as a table"><input type="checkbox" checked={!view.apart} onChange={() => onChange({ apart: !view.apart, open: view.open, shut: view.shut })} /> Stack siblings</label>
      <Since days={view.since} onChange={onSince} />
      <details class="menu kinds">
        <summary>Edges{view.kinds.length ? ` (${view.kinds.length})` : ""}</summary>
        <div>
          {kinds.map(({ name, description }) => (
            <label key={name} title={description}><input type="checkbox" checked={view.kinds.includes(name)} onChange={() => toggle(name)} /> {words(name)}</label>
          ))}
          <button disabled={!view.kinds.length} onClick={() => onChange({ kinds: [] })}>All kinds</button>
        </div>
      </details>
    </span>
  );
}

/** Which rows stand out: of which types, in which states. */
export function RowFilter({ graph, view, onChange }: { graph: Graph; view: View; onChange(filter: Filter): void }) {
  const { types, states } = view;
  const found = choices(graph);
  const toggled = (all: string[], one: string) => (all.includes(one) ? all.filter((other) => other !== one) : [...all, one]);
  const chosen = types.length + states.length;
  return (
    <details class="menu rows">
      <summary>Rows{chosen ? ` (${chosen})` : ""}</summary>
      <div>
        <fieldset>
          <legend>Types</legend>
          {found.types.map(([type, many]) => (
            <label key={type}><input type="checkbox" checked={types.includes(type)} onChange={() => onChange({ states, types: toggled(types, type) })} /> {typeName(type)} <small>{many}</small></label>
          ))}
        </fieldset>
        <fieldset>
          <legend>States</legend>
          {found.states.map(([state, many]) => (
            <label key={state}><input type="checkbox" checked={states.includes(state)} onChange={() => onChange({ types, states: toggled(states, state) })} /> {state === NO_STATE ? "no state" : words(state)} <small>{many}</small></label>
          ))}
        </fieldset>
        <button disabled={!chosen} onClick={() => onChange({ types: [], states: [] })}>All rows</button>
      </div>
    </details>
  );
}

/** Asks for a token, where the gateway wants to know who asks. */
export function Token({ onKept }: { onKept(): void }) {
  const input = useRef<HTMLInputElement>(null);
  const keep = (event: Event) => {
    event.preventDefault();
    keepToken(input.current!.value);
    onKept();
  };
  return (
    <form class="token" onSubmit={keep}>
      <label>Token <input ref={input} type="password" autocomplete="off" required /></label>
      <button>Use it</button> <small>Kept until this tab is closed.</small>
    </form>
  );
}

export function Welcome({ onPick }: { onPick(id: string): void }) {
  const [hits, setHits] = useState<Hit[]>([]);
  const [error, setError] = useState<ApiError | null>(null);
  const ask = () => {
    setError(null);
    void suggestions().then(setHits, (problem: ApiError) => setError(problem));
  };
  useEffect(ask, []);
  return (
    <div class="welcome">
      <h1>What feeds this, and what depends on it?</h1>
      <p>Search a model, an experiment, a deployment, an alert … or start with one of the newest experiments.</p>
      {error && <div class="problem" role="alert">{error.message} {error.code === "UNAUTHENTICATED" && <Token onKept={ask} />}</div>}
      <ul>{hits.map((hit) => <li key={hit.id}><button onClick={() => onPick(hit.id)}><b>{hit.label}</b><small>{typeName(hit.type)}</small></button></li>)}</ul>
    </div>
  );
}

export function SchemeSwitch() {
  const media = matchMedia("(prefers-color-scheme: dark)");
  const [scheme, setScheme] = useState<Scheme>(() => {
    const kept = localStorage.getItem("explorer.scheme");
    return kept === "light" || kept === "dark" ? kept : media.matches ? "dark" : "light";
  });
  document.documentElement.dataset.scheme = scheme; // at once: an effect would come after the first picture in other colours
  const other = scheme === "dark" ? "light" : "dark";
  return (
    <button aria-label={`Use ${other} colours`} onClick={() => { localStorage.setItem("explorer.scheme", other); setScheme(other); }}>
      {scheme === "dark" ? "☀" : "☾"}
    </button>
  );
}
