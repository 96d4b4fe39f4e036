/** The lineage: reads the view from the URL, asks the API, draws, and writes the URL as the view grows. */

import { useCallback, useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Offer, Row } from "./act";
import { asRows, sentence } from "./answers";
import { ApiError, healths, viewAsGraphQL, type Side } from "./api";
import { Canvas, type CanvasHandle } from "./canvas";
import { Token, Walks, Welcome } from "./controls";
import { Changes, diffOf, marks, type Diff, type Mark } from "./diff";
import { asPng, asSvg, download } from "./export";
import { Graph } from "./graph";
import "./graph.css";
import { place, type Places } from "./layout";
import { CHANGES, follow, type LifecycleEvents } from "./live";
import "./page.css";
import { Outline } from "./outline";
import { NodeDetails, PartialAnswer, Search } from "./panels";
import { Sheet } from "./sheet";
import { titled, titleOf } from "./saved";
import { Bar, Views } from "./shell";
import { LEGEND, words } from "./tones";
import { read, write, type View } from "./view";

interface Shown {
  graph: Graph;
  places: Places;
  /** How many of the nodes, in their order, are drawn. */
  drawn: number;
}
const EMPTY: Shown = { graph: Graph.EMPTY, places: new Map(), drawn: 0 };
/** So many nodes are added to the drawing in a frame: hundreds at once would freeze the page. */
const AT_ONCE = 40;
/** So many models at most are asked about their health: beyond that nobody reads it. */
const EXAMINED = 200;
const NO_MARKS: ReadonlyMap<string, Mark> = new Map();
/** A window that shows the drawing or what is beside it. */
const NARROW = "(max-width: 900px)";
/** Milliseconds. */
const TOAST_SHOWN = 4_000;
const frame = () => new Promise(requestAnimationFrame);

export function Explorer() {
  const [view, setView] = useState<View>(() => read(location.hash));
  const [shown, setShown] = useState<Shown>(EMPTY);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<{ error: ApiError; again(): void } | null>(null);
  const [said, say] = useState("");
  const [toast, setToast] = useState("");
  const [acting, setActing] = useState<{ row: Row; offer: Offer } | null>(null);
  const [tab, setTab] = useState<"details" | "list" | "graph">(() => (matchMedia(NARROW).matches && !read(location.hash).selected ? "list" : "details"));
  const canvas = useRef<CanvasHandle>(null);
  const now = useRef({ view, shown, busy });
  now.current = { view, shown, busy };
  const turn = useRef(0);

  /** Shows something else. What is shown is known at once, not only once it is drawn. */
  const show = useCallback((change: (shown: Shown) => Shown) => {
    now.current.shown = change(now.current.shown);
    setShown(now.current.shown);
  }, []);

  const [title, setTitle] = useState(() => titleOf(location.hash));
  const entitle = (next: string) => {
    history.replaceState(null, "", titled(location.hash, next));
    setTitle(next);
  };

  const remember = useCallback((next: View, push = false) => {
    // another view is not the one that was given a name
    const kept = push ? "" : titleOf(location.hash);
    history[push ? "pushState" : "replaceState"](null, "", kept ? titled(write(next), kept) : write(next));
    setTitle(kept);
    now.current.view = next;
    setView(next);
  }, []);

  /** Runs what asks the gateway; a failure is shown and can be tried again. Of what was overtaken nothing is shown. */
  const attempt = useCallback(async (work: (isLast: () => boolean) => Promise<void>) => {
    const mine = ++turn.current;
    const isLast = () => mine === turn.current;
    setBusy(true);
    setProblem(null);
    try {
      await work(isLast);
    } catch (failure) {
      const error = failure instanceof ApiError ? failure : new ApiError(String(failure), "PAGE");
      if (isLast()) setProblem({ error, again: () => void attempt(work) });
    } finally {
      if (isLast()) setBusy(false);
    }
  }, []);

  /** Draws the nodes that are not drawn yet, a part in each frame. */
  const unfold = useCallback(async (isLast: () => boolean) => {
    for (;;) {
      await frame();
      const { drawn, graph } = now.current.shown;
      if (!isLast() || drawn >= graph.nodes.size) return;
      show((shown) => ({ ...shown, drawn: shown.drawn + AT_ONCE }));
    }
  }, []);

  const load = useCallback((next: View) => {
    void attempt(async (isLast) => {
      show(() => EMPTY);
      if (!next.from.length) return;
      const graph = await Graph.load(next);
      if (!graph.nodes.size) throw new ApiError(`There is no ${next.from.join(", ")} in this database.`, "NOT_FOUND");
      const places = await place([...graph.nodes.keys()], graph.edges.values(), new Map());
      if (!isLast()) return;
      show(() => ({ graph, places, drawn: 0 }));
      await frame();
      canvas.current?.open();
      await unfold(isLast);
      if (!isLast()) return;
      say(`${graph.nodes.size} nodes and ${graph.edges.size} edges${graph.reasons.length ? `. Partial: ${graph.reasons[0]}` : ""}`);
    });
  }, []);

  useEffect(() => {
    load(view);
    const travelled = () => {
      const next = read(location.hash);
      setTitle(titleOf(location.hash));
      setView(next);
      load(next);
    };
    addEventListener("popstate", travelled);
    return () => removeEventListener("popstate", travelled);
  }, []);

  const start = (changes: Partial<View>) => {
    const next = { ...now.current.view, open: [], ...changes };
    remember(next, true);
    load(next);
  };
  const startAt = (id: string) => start({ from: [id], selected: id });

  /** Selects a node of the view and brings it into sight. */
  const point = useCallback((id: string) => {
    remember({ ...now.current.view, selected: id });
    canvas.current?.show(id);
  }, []);

  const select = useCallback((id: string) => {
    if (now.current.shown.graph.nodes.has(id)) {
      point(id);
      setTab("details");
    } else startAt(id); // a blocker, say, that is not in the view
  }, []);

  const open = useCallback((id: string, sides: Side[]) => {
    if (now.current.busy || !sides.length) return;
    now.current.busy = true;
    void attempt(async (isLast) => {
      const { graph: old, places } = now.current.shown;
      const { graph, steps } = await old.opened(id, sides, now.current.view);
      const grown = await place([...graph.nodes.keys()], graph.edges.values(), places);
      if (!isLast()) return;
      // what has changed meanwhile is newer than what the walk has read
      const newer = [...now.current.shown.graph.nodes.values()].filter((node) => node !== old.nodes.get(node.id));
      show((shown) => ({ graph: graph.with(newer), places: grown, drawn: shown.drawn }));
      const kept = now.current.view.open.filter((one) => !steps.some(({ node, side }) => one.node === node && one.side === side));
      remember({ ...now.current.view, open: [...kept, ...steps], selected: id });
      await unfold(isLast);
      if (!isLast()) return;
      say(`${graph.nodes.size - old.nodes.size} nodes added ${sides.map((side) => side.toLowerCase()).join(" and ")}, ${graph.nodes.size} in view`);
    });
  }, []);

  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || (event.target as Element).closest("input, textarea, select")) return;
      if (event.key !== "f") return;
      canvas.current?.fit();
      event.preventDefault();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);

  const { graph, places, drawn } = shown;
  const loaded = graph.nodes.size > 0;
  const whole = loaded && drawn >= graph.nodes.size;
  const [live, setLive] = useState(false);

  /** Reads nodes of the view again where they stand; the drawing may grow or be another by the time they are here. */
  const reread = useCallback(async (again: (graph: Graph) => Promise<Graph>) => {
    const { graph } = now.current.shown;
    const better = await again(graph).catch(() => graph); // the next reading will say what is wrong
    const newer = [...better.nodes.values()].filter((node) => node !== graph.nodes.get(node.id));
    if (!newer.length) return;
    show((shown) => ({ ...shown, graph: shown.graph === graph ? better : shown.graph.with(newer) }));
  }, []);
  const moved = useCallback(async (id: string) => {
    if (!now.current.shown.graph.nodes.has(id)) return;
    await reread((graph) => graph.refreshed(id));
    const node = now.current.shown.graph.nodes.get(id);
    if (node) say(`${node.label} is now ${words(node.state ?? "changed")}`);
  }, []);
  useEffect(() => {
    if (!loaded) return;
    const told = ({ lifecycleEvents: { event } }: LifecycleEvents) => event?.nodeId && void moved(event.nodeId);
    return follow(CHANGES, told, setLive, () => load(now.current.view));
  }, [loaded]);

  useEffect(() => {
    if (view.selected) void reread((graph) => graph.counted([view.selected!]));
  }, [loaded, view.selected]);

  useEffect(() => {
    const models = graph.unexamined().slice(0, EXAMINED);
    if (!models.length) return;
    void healths(models).then(
      (known) => show((shown) => ({ ...shown, graph: shown.graph.ailing(known) })),
      () => undefined, // not known to this caller: the state alone is shown
    );
  }, [graph]);

  const node = view.selected ? graph.nodes.get(view.selected) : undefined;
  const [diff, setDiff] = useState<Diff | null>(null);
  useEffect(() => {
    setDiff(null);
    if (!view.since || !graph.asOf) return;
    let current = true;
    diffOf(view, graph.asOf).then(
      (told) => current && setDiff(told),
      (error: ApiError) => current && setProblem({ error, again: () => load(now.current.view) }),
    );
    return () => {
      current = false;
    };
  }, [view.since, graph.asOf, view.from, view.direction, view.depth]);
  const marked = useMemo(() => (diff ? marks(diff) : NO_MARKS), [diff]);
  const answer = useMemo(() => sentence(graph, view), [graph, view.from, view.direction]);
  const copy = async () => {
    const text = viewAsGraphQL([...graph.nodes.keys()]);
    try {
      await navigator.clipboard.writeText(text);
      setToast("Copied: the view as one GraphQL query");
    } catch {
      download("view.graphql", new Blob([text], { type: "text/plain" })); // no clipboard without HTTPS
      setToast("Saved: the view as view.graphql");
    }
  };
  useEffect(() => {
    const timer = toast && setTimeout(() => setToast(""), TOAST_SHOWN);
    return () => clearTimeout(timer || undefined);
  }, [toast]);
  useEffect(() => {
    const about = title || graph.nodes.get(view.from[0] ?? "")?.label;
    document.title = `${about ? `${about} · ` : ""}Lineage · E2I metadata gateway`;
  }, [graph, view.from, title]);
  const name = (graph.nodes.get(view.from[0] ?? "")?.label ?? "lineage").replace(/\W+/g, "-");

  return (
    <>
      <Bar
        page="explorer"
        tools={<>
          <Walks view={view} onChange={start} onSince={(since) => remember({ ...now.current.view, since })} />
          <span class="tools">
            {loaded && <Views page="explorer" hash={() => write(view)} title={title} onTitle={entitle} />}
            <button disabled={!graph.nodes.size} onClick={() => void copy()} title="Copy the view as a GraphQL query">Copy GraphQL</button>
            <button disabled={!whole} onClick={() => download(`${name}.svg`, new Blob([asSvg(canvas.current!.svg(), places)], { type: "image/svg+xml" }))}>SVG</button>
            <button disabled={!whole} onClick={() => void attempt(async () => download(`${name}.png`, await asPng(canvas.current!.svg(), places)))}>PNG</button>
            <button disabled={!whole} onClick={() => download(`${name}.csv`, new Blob([asRows(graph)], { type: "text/csv" }))} title="The nodes of the view as a table">CSV</button>
          </span>
        </>}
      >
        <Search onPick={startAt} />
      </Bar>
      {problem && (
        <div class="error" role="alert">
          <b>{problem.error.message}</b> <code>{problem.error.code}</code>
          {problem.error.code === "UNAUTHENTICATED" ? <Token onKept={problem.again} /> : <button onClick={problem.again}>Try again</button>}
        </div>
      )}
      <main aria-busy={busy} class={loaded ? `beside beside-${tab}` : undefined}>
        {graph.nodes.size > 0 && <h1 class="spoken">Lineage of {graph.nodes.get(view.from[0] ?? "")?.label ?? "several rows"}</h1>}
        <div class="stage">
          {graph.nodes.size ? (
            <>
              <Canvas graph={graph} drawn={drawn} places={places} starts={view.from} selected={view.selected} marks={marked} handle={canvas} onSelect={select} onOpen={open} />
              <div class="told">
                <PartialAnswer graph={graph} live={live} onSelect={select} />
                {answer && <p class="answer">{answer}</p>}
                {diff && <Changes diff={diff} days={view.since} shown={(id) => graph.nodes.has(id)} onSelect={select} />}
              </div>
              <div class="zoom">
                <button aria-label="Zoom in" onClick={() => canvas.current?.zoomBy(1.3)}>+</button>
                <button aria-label="Zoom out" onClick={() => canvas.current?.zoomBy(1 / 1.3)}>−</button>
                <button aria-label="Show all" title="Show all (F)" aria-keyshortcuts="f" onClick={() => canvas.current?.fit()}>⤢</button>
              </div>
              <ul class="legend" aria-label="Colours of states">
                {LEGEND.map(([one, what]) => <li class={`tone-${one}`}>{what}</li>)}
                <li class="loop">closes a loop</li>
              </ul>
            </>
          ) : busy ? <p class="empty">Reading the lineage …</p> : (!view.from.length || problem?.error.code === "NOT_FOUND") && <Welcome onPick={startAt} />}
          {busy && <div class="progress" aria-hidden="true" />}
        </div>
        {graph.nodes.size > 0 && (
          <aside>
            <nav role="tablist" aria-label="Beside the graph">
              <button role="tab" aria-selected={tab === "details"} onClick={() => setTab("details")}>Details</button>
              <button role="tab" class="narrow" aria-selected={tab === "graph"} onClick={() => { setTab("graph"); requestAnimationFrame(() => canvas.current?.open()); }}>Drawing</button>
              <button role="tab" aria-selected={tab === "list"} onClick={() => setTab("list")}>Outline ({graph.nodes.size})</button>
            </nav>
            <div role="tabpanel" hidden={tab === "graph" && matchMedia(NARROW).matches}>
              {tab === "graph" ? null : tab === "list" ? (
                <Outline graph={graph} starts={view.from} selected={view.selected} onOpen={open} onSelect={point} />
              ) : node ? (
                <NodeDetails graph={graph} node={node} busy={busy} onOpen={open} onStart={startAt} onSelect={select} onAsk={start} onAct={(row, offer) => setActing({ row, offer })} />
              ) : <p class="dim">Choose a node to see its fields, its lifecycle and its history.</p>}
            </div>
          </aside>
        )}
        <p id="keys" class="spoken">Left and right follow edges, up and down go through the column, Enter expands, Shift with left or right expands one side, space selects. F shows all, slash searches. The outline beside the drawing is the same as a tree.</p>
        <p class="spoken" role="status" aria-live="polite">{said}</p>
      </main>
      {acting && <Sheet {...acting} onClose={() => setActing(null)} onDone={() => void reread((graph) => graph.refreshed(acting.row.id))} />}
      {toast && <p class="toast" role="status">{toast}</p>}
    </>
  );
}
