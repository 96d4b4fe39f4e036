/** What is beside the drawing: a node's details, and what the answer leaves out. */

import type { ComponentType } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { QUESTIONS, viewOf } from "./answers";
import { ApiError, details, type Details, type Field, type LineageNode, type Side } from "./api";
import { count, counted, dated, json, number } from "./format";
import type { Graph } from "./graph";
import { Offers, type Act } from "./offers";
import { Time } from "./shell";
import { isPlotted, plotsOf, type PlotData } from "./plots";
import { timeline } from "./timeline";
import { amount, AT_LEAST, tone, typeName, words } from "./tones";
import { Twin } from "./twin";
import { UnitValue } from "./units";
import type { View } from "./view";

/** How the API writes a time. */
const INSTANT = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$/;
/** No side with fewer edges has more of a kind than are counted. */
const COUNTED = 1000;

interface DetailsProps {
  graph: Graph;
  node: LineageNode;
  busy: boolean;
  onOpen(id: string, sides: Side[]): void;
  onClose(id: string, side: Side): void;
  onStart(id: string): void;
  /** Looks for the way from here to what is chosen next. */
  onPath(id: string): void;
  onSelect(id: string): void;
  /** Shows the view that answers a question. */
  onAsk(view: Partial<View>): void;
  onAct: Act;
}

export function NodeDetails({ graph, node, busy, onOpen, onClose, onStart, onPath, onSelect, onAsk, onAct }: DetailsProps) {
  const [told, setTold] = useState<{ id: string; row: Details | null } | undefined>(undefined);
  const [error, setError] = useState<string | null>(null);
  useEffect(() => {
    let current = true;
    setError(null);
    details(node.id, node.type).then(
      (row) => current && setTold({ id: node.id, row }),
      (problem: ApiError) => current && setError(problem.message),
    );
    return () => {
      current = false;
    };
  }, [node.id, node.degree]); // which is another object once the node has been read again
  const row = told?.id === node.id ? told.row : undefined;
  const hidden = graph.hidden(node);
  return (
    <section aria-label="Details">
      <header>
        <p class="type">{typeName(node.type)}</p>
        <h2 title={node.label}>{dated(node.label)}</h2>
        {node.state && <span class={`state tone-${tone(node.state, node.type)}`}>{words(node.state)}</span>}
        {node.health && <> <span class={`state tone-${tone(node.health)}`}>health: {node.health}</span></>}
        <p class="id"><code>{node.id}</code></p>
        <p class="actions">
          {(["UPSTREAM", "DOWNSTREAM"] as const).map((side) => {
            const all = side === "UPSTREAM" ? node.degree.upstream : node.degree.downstream;
            const capped = node.degree.capped && all >= COUNTED;
            return (
              <button key={side} disabled={!hidden[side] || busy} title={capped ? `${amount(all, capped)}: ${AT_LEAST}` : undefined} onClick={() => onOpen(node.id, [side])}>
                {side === "UPSTREAM" ? "◂ " : ""}{amount(all - hidden[side], false)} of {amount(all, capped)} {side.toLowerCase()}{side === "DOWNSTREAM" ? " ▸" : ""}
              </button>
            );
          })}
          {(["UPSTREAM", "DOWNSTREAM"] as const).filter((side) => graph.beyond(node.id, side).size).map((side) => (
            <button key={`close ${side}`} disabled={busy} title="Takes off the screen what hangs at this side alone" onClick={() => onClose(node.id, side)}>Close {side.toLowerCase()}</button>
          ))}
          <button onClick={() => onStart(node.id)}>Start here</button>
          <button onClick={() => onPath(node.id)}>Path to …</button>
        </p>
        <p class="actions" role="group" aria-label="Questions">
          {QUESTIONS.map((question) => (
            <button key={question.label} title={question.about} onClick={() => onAsk(viewOf(question, node.id))}>{question.label}</button>
          ))}
        </p>
      </header>
      <Remaining graph={graph} node={node} />
      {error && <p class="problem" role="alert">{error}</p>}
      {row === undefined && !error && <p class="dim">Reading …</p>}
      {row === null && <p class="problem" role="alert">This row no longer exists.</p>}
      {row?.lifecycle && <LifecyclePart node={node} lifecycle={row.lifecycle} onSelect={onSelect} onAct={onAct} />}
      {row && node.type === "TwinModel" && <Twin id={node.id} />}
      {row && isPlotted(node.type) && <Plots id={node.id} type={node.type} />}
      {row && <Fields fields={row.fields} onSelect={onSelect} />}
      {row && <Timeline row={row} />}
      {row?.problems.map((problem) => <p class="problem">{problem}</p>)}
    </section>
  );
}

/** Where the walk was cut at this node, by kind. */
function Remaining({ graph, node }: { graph: Graph; node: LineageNode }) {
  const cuts = [...graph.cutsOf(node.id, "UPSTREAM"), ...graph.cutsOf(node.id, "DOWNSTREAM")];
  if (!cuts.length) return null;
  return (
    <ul class="cuts">
      {cuts.map((cut) => (
        <li>
          {cut.direction === "UPSTREAM" ? "◂" : "▸"} {words(cut.kind)} {typeName(cut.type)}: <span title={cut.capped ? AT_LEAST : undefined}>{amount(cut.remaining, cut.capped)} more</span>
        </li>
      ))}
    </ul>
  );
}

function LifecyclePart({ node, lifecycle, onSelect, onAct }: { node: LineageNode; lifecycle: NonNullable<Details["lifecycle"]>; onSelect(id: string): void; onAct: Act }) {
  const { type } = node;
  const moves = lifecycle.allowedTransitions ?? [];
  const isBlocked = (mutation: string, to: string) => lifecycle.changes?.some((one) => one.mutation === mutation && one.to === to && one.blockedBy?.length);
  const since = lifecycle.history?.nodes.find(({ toState }) => toState === lifecycle.state);
  return (
    <>
      <h3>Lifecycle</h3>
      <p class="now">
        Now <span class={`state tone-${tone(lifecycle.state, type)}`}>{words(lifecycle.state)}</span>
        {since && <> since <Time at={since.occurredAt} /> by {since.actor}{since.forced && ", forced"}{since.reason && `: ${since.reason}`}</>}
      </p>
      <Offers row={node} lifecycle={lifecycle} explained onAct={onAct} />
      {lifecycle.allowedTransitions?.length === 0 && <p class="dim">No move leads on from here.</p>}
      <ul class="moves">
        {moves.map((move) => (
          <li key={move.to} class={move.blockedBy?.length === 0 ? "allowed" : "blocked"}>
            <b>{!move.blockedBy ? "?" : move.blockedBy.length ? "✕" : "✓"} {words(move.to)}</b>{" "}
            <small>
              {!move.blockedBy ? "not known to you" : move.blockedBy.length ? "blocked" : `allowed: ${move.mutations.filter((mutation) => !isBlocked(mutation, move.to)).join(", ")}`}
            </small>
            {move.blockedBy?.map((blocker) => (
              <p>
                {blocker.message}{" "}
                {blocker.node && <button class="link" onClick={() => onSelect(blocker.node!.id)}>{blocker.node.id}</button>}
              </p>
            ))}
          </li>
        ))}
      </ul>
    </>
  );
}

/** Plots are drawn by a library of their own, which is read once there is something to plot. */
function Plots({ id, type }: { id: string; type: string }) {
  const [plots, setPlots] = useState<{ id: string; data: PlotData[]; Plot: ComponentType<PlotData> | null } | null>(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    let current = true;
    setProblem("");
    plotsOf(id, type)
      .then(async (data) => {
        const Plot = data.length ? (await import("./plot")).default : null;
        if (current) setPlots({ id, data, Plot });
      })
      .catch((error: Error) => current && setProblem(error.message));
    return () => {
      current = false;
    };
  }, [id]);
  if (problem) return <p class="problem">Not plotted: {problem}</p>;
  if (plots?.id !== id) return <p class="dim">Reading what was measured …</p>;
  const { data, Plot } = plots;
  if (!Plot) return null;
  return <section aria-label="Plots">{data.map((one) => <Plot key={one.title} {...one} />)}</section>;
}

/** Keys and addresses: they name a row, and tell nothing of it. */
const NAMING = /(Id|Uri|Url|Hash|Tag)$/;

/** What is known of the row: what tells something first, keys that lead somewhere as links, the rest folded. */
function Fields({ fields, onSelect }: { fields: Field[]; onSelect(id: string): void }) {
  const known = fields.filter(({ value }) => value !== null && value !== undefined);
  const folded = known.filter(({ name, link }) => NAMING.test(name) && !link);
  const line = ({ name, value, description, unit, link }: Field) => (
    <div key={name}>
      <dt title={description}>{name.split(/(?=[A-Z])/).map((word) => <>{word}<wbr /></>)}</dt>
      <dd>{link ? <button class="link" onClick={() => onSelect(link)}>{link.split(":")[0]}</button> : <Value value={value} unit={unit} />}</dd>
    </div>
  );
  const empty = fields.filter(({ value }) => value === null || value === undefined);
  return (
    <>
      <h3>Fields</h3>
      <dl>{known.filter((field) => !folded.includes(field)).map(line)}</dl>
      {(folded.length > 0 || empty.length > 0) && (
        <details class="folded">
          <summary>{[folded.length && count(folded.length, "id or address", "ids and addresses"), empty.length && count(empty.length, "empty field")].filter(Boolean).join(", ")}</summary>
          <dl>{folded.map(line)}</dl>
          {empty.length > 0 && <p class="dim">Empty: {empty.map(({ name }) => name).join(", ")}</p>}
        </details>
      )}
    </>
  );
}

/** Recorded changes and the row's own times, newest first. */
function Timeline({ row: { fields, lifecycle } }: { row: Details }) {
  const moments = timeline(fields, lifecycle?.history ?? null);
  const history = lifecycle?.history;
  return (
    <>
      <h3>Timeline</h3>
      {lifecycle && !history && <p class="dim">Recorded changes are not known to you.</p>}
      {history?.totalCount === 0 && <p class="dim">The gateway has recorded no change.</p>}
      <ol class="history">
        {moments.map((moment) => (
          <li key={moment.at + moment.what} class={moment.event ? "recorded" : undefined}>
            <Time at={moment.at} />{" "}
            {moment.event ? <a href={`./#event=${moment.event}`}>{moment.what}</a> : moment.what}
            {moment.actor && <> by {moment.actor}</>}
            {moment.reason && <p>{moment.reason}</p>}
          </li>
        ))}
      </ol>
      {history && history.totalCount > history.nodes.length && <p class="dim">{counted({ ...history, totalCount: history.totalCount - history.nodes.length }, "earlier change")}.</p>}
    </>
  );
}

function Value({ value, unit }: { value: unknown; unit?: string }) {
  if (unit && (typeof value === "number" || typeof value === "bigint")) return <UnitValue value={value} unit={unit} />;
  if (typeof value === "object") {
    const text = json(value, 1);
    return text.length < 60 ? <code>{json(value)}</code> : <details><summary>JSON</summary><pre>{text}</pre></details>;
  }
  if (typeof value === "number" || typeof value === "bigint") return <>{number(value)}</>;
  if (typeof value === "string" && INSTANT.test(value)) return <Time at={value} />;
  return <>{String(value)}</>;
}

/** Says that the answer is a part, why, and where it was cut. Never hidden. */
export function PartialAnswer({ graph, live, onSelect }: { graph: Graph; live: boolean; onSelect(id: string): void }) {
  const box = useRef<HTMLDetailsElement>(null);
  const cuts = new Map<string, number>();
  for (const cut of graph.cuts.values()) cuts.set(cut.node, (cuts.get(cut.node) ?? 0) + 1);
  const asOf = (
    <>
      As of <Time at={graph.asOf} />
      {" "}
      {live && <span class="live" title="Changes of states are shown when they are made">live</span>}
    </>
  );
  if (graph.whole) return <p class="partial whole">Complete answer. {asOf}</p>;
  return (
    <details ref={box} class="partial">
      <summary><b>Partial answer</b>: {graph.reasons[0] ?? "some ids do not exist."} {asOf}</summary>
      <ul>
        {graph.reasons.slice(1).map((reason) => <li>{reason}</li>)}
        {graph.missing.map((id) => <li>Does not exist: <code>{id}</code></li>)}
        {graph.omitted.map(({ type, count }) => <li>Left out: {count} {typeName(type)}</li>)}
        {[...cuts].slice(0, 50).map(([id, count]) => (
          <li>
            <button class="link" onClick={() => onSelect(id)}>{graph.nodes.get(id)?.label ?? id}</button> was cut along {count} {count === 1 ? "kind" : "kinds"} of edges
          </li>
        ))}
        {cuts.size > 50 && <li>{cuts.size - 50} more nodes were cut; each shows “+n more”.</li>}
      </ul>
    </details>
  );
}
