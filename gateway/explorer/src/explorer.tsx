/** The lineage: reads the view from the URL, asks the API, draws, and writes the URL as the view grows. */

import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { Offer, Row } from "./act";
import { followAddress } from "./address";
import { asRows, sentence } from "./answers";
import { ApiError, ask, healths, viewAsGraphQL, type Side } from "./api";
import { Canvas, type CanvasHandle } from "./canvas";
import { RowFilter, Token, Walks, Welcome } from "./controls";
import { download } from "./csv";
import { Changes, diffOf, marks, type Diff, type Mark } from "./diff";
import { asPng, asSvg } from "./export";
import { faded, type Filter } from "./filter";
import { Graph } from "./graph";
import "./graph.css";
import { place, type Places } from "./layout";
import { CHANGES, follow, type LifecycleEvents } from "./live";
import "./page.css";
import { Outline } from "./outline";
import { NodeDetails, PartialAnswer } from "./panels";
import { PATHS } from "./generated/operations";
import { visited } from "./recent";
import { Search } from "./search";
import { Sheet } from "./sheet";
import { StackDetails } from "./stack";
import { titled, titleOf } from "./saved";
import { Bar, Views } from "./shell";
import { LEGEND, words } from "./tones";
import { DEFAULTS, read, write, type Shut, type View } from "./view";

interface Shown {
  graph: Graph;
  /** What is drawn of it. */
  picture: Graph;
  /** The rows that stand for themselves among many of their kind; null if all do. */
  kept: ReadonlySet<string> | null;
  places: Places;
  /** How many of the nodes, in their order, are drawn. */
  drawn: number;
}
const EMPTY: Shown = { graph: Graph.EMPTY, picture: Graph.EMPTY, kept: null, places: new Map(), drawn: 0 };
/** So many nodes are added to the drawing in a frame: hundreds at once would freeze the page. */
const AT_ONCE = 40;
/** So many models at most are asked about their health: beyond that nobody reads it. */
const EXAMINED = 200;
const NO_MARKS: ReadonlyMap<string, Mark> = new Map();
/** A window that shows the drawing or what is beside it. */
const NARROW = "(max-width: 900px)";
/** Milliseconds. */
const TOAST_SHOWN = 4_000;
/** So many rows are read at once for a card of many. */
const READ_ON = 200;
const pictured = (graph: Graph, kept: Shown["kept"]) => (kept ? graph.stacked(kept) : graph);
/** What a view, when it is opened, shows each by itself. */
const keptBy = (view: View): Shown["kept"] =>
  view.apart ? null : new Set([...view.from, ...view.pins, ...view.open.map(({ node }) => node), ...(view.selected ? [view.selected] : [])]);
const placed = (picture: Graph, places: Places) => place([...picture.nodes.keys()], picture.edges.values(), places);
const frame = () => new Promise(requestAnimationFrame);

export function Explorer() {
  const drawnAt = useRef(location.hash);
  const [view, setView] = useState<View>(() => read(drawnAt.current));
  const [shown, setShown] = useState<Shown>(EMPTY);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<{ error: ApiError; again(): void } | null>(null);
  const [said, say] = useState("");
  const [toast, setToast] = useState("");
  const [acting, setActing] = useState<{ row: Row; offer: Offer } | null>(null);
  const [tab, setTab] = useState<"details" | "list" | "graph">(() => (matchMedia(NARROW).matches && !view.selected ? "list" : "details"));
  const canvas = useRef<CanvasHandle>(null);
  const now = useRef({ view, shown, busy });
  now.current = { view, shown, busy };
  const turn = useRef(0);

  /** Shows something else. What is shown is known at once, not only once it is drawn. */
  const show = useCallback((change: (shown: Shown) => Shown) => {
    now.current.shown = change(now.current.shown);
    setShown(now.current.shown);
  }, []);

  /** Shows the same nodes as they are now. */
  const repaint = useCallback((change: (graph: Graph) => Graph) => show((shown) => {
    const graph = change(shown.graph);
    return graph === shown.graph ? shown : { ...shown, graph, picture: pictured(graph, shown.kept) };
  }), []);

  const [title, setTitle] = useState(() => titleOf(drawnAt.current));
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
      const { drawn, picture } = now.current.shown;
      if (!isLast() || drawn >= picture.nodes.size) return;
      show((shown) => ({ ...shown, drawn: shown.drawn + AT_ONCE }));
    }
  }, []);

  const load = useCallback((next: View) => {
    void attempt(async (isLast) => {
      show(() => EMPTY);
      if (!next.from.length) return;
      const graph = await Graph.load(next);
      if (!graph.nodes.size) throw new ApiError(`There is no ${next.from.join(", ")} in this database.`, "NOT_FOUND");
      const kept = keptBy(next);
      const picture = pictured(graph, kept);
      const places = await placed(picture, new Map());
      if (!isLast()) return;
      show(() => ({ graph, picture, kept, places, drawn: 0 }));
      await frame();
      canvas.current?.open();
      await unfold(isLast);
      if (!isLast()) return;
      say(`${graph.nodes.size} nodes and ${graph.edges.size} edges${graph.reasons.length ? `. Partial: ${graph.reasons[0]}` : ""}`);
    });
  }, []);

  useLayoutEffect(() => {
    load(view); // asked before the page is drawn, not after
    const travelled = () => {
      const next = read(location.hash);
      setTitle(titleOf(location.hash));
      setView(next);
      load(next);
    };
    return followAddress(drawnAt.current, travelled);
  }, []);

  const start = (changes: Partial<View>) => {
    const everywhere = changes.from ? { types: [], states: [] } : {}; // a filter is of what was in view
    const next = { ...now.current.view, open: [], shut: [], pins: [], ...everywhere, ...changes };
    remember(next, true);
    load(next);
  };
  const startAt = (id: string) => start({ from: [id], selected: id, ...(now.current.view.depth ? {} : { depth: 1 }) });

  /** Selects a node of the view and brings it into sight. */
  const point = useCallback((id: string) => {
    remember({ ...now.current.view, selected: id });
    canvas.current?.show(id);
  }, []);

  const [pathFrom, setPathFrom] = useState<string | null>(null);
  const joining = useRef<string | null>(null);
  joining.current = pathFrom;

  /** Shows the nodes of the shortest way between two. */
  const join = (to: string) => {
    const from = joining.current!;
    setPathFrom(null);
    if (from === to) return;
    void attempt(async (isLast) => {
      const found = (await ask(PATHS, { from, to })).data.paths;
      if (!isLast()) return;
      const [path] = found?.paths ?? [];
      if (!path) throw new ApiError(`No way of at most eight edges was found from ${from} to ${to}. ${found?.reason ?? ""}`, "NO_PATH");
      const next: View = { ...DEFAULTS, from: path.nodes.map(({ nodeId }) => nodeId), depth: 0, selected: from };
      remember(next, true);
      load(next);
    });
  };

  const select = useCallback((id: string) => {
    const { graph, picture, kept } = now.current.shown;
    if (joining.current && graph.nodes.has(id)) join(id);
    else if (picture.nodes.has(id)) {
      point(id);
      setTab("details");
    } else if (graph.nodes.has(id) && kept) pin(id);
    else startAt(id); // a blocker, say, that is not in the view
  }, []);

  /** Draws other nodes than before, which keep their places; what has changed meanwhile is newer than what was read. */
  const redraw = async (old: Graph, graph: Graph, kept: Shown["kept"], isLast: () => boolean, next: View) => {
    const picture = pictured(graph, kept);
    const places = await placed(picture, now.current.shown.places);
    if (!isLast()) return false;
    const newer = [...now.current.shown.graph.nodes.values()].filter((node) => node !== old.nodes.get(node.id));
    const better = graph.with(newer);
    show((shown) => ({ graph: better, picture: newer.length ? pictured(better, kept) : picture, kept, places, drawn: shown.drawn }));
    remember(next);
    await unfold(isLast);
    return isLast();
  };

  /** Takes a row out of the card of many that it is in. */
  const pin = useCallback((id: string) => {
    if (now.current.busy) return;
    now.current.busy = true;
    void attempt(async (isLast) => {
      const { graph, kept } = now.current.shown;
      const { view } = now.current;
      if (!(await redraw(graph, graph, new Set([...(kept ?? []), id]), isLast, { ...view, pins: [...view.pins, id], selected: id }))) return;
      canvas.current?.show(id);
      setTab("details");
    });
  }, []);

  const open = useCallback((id: string, sides: Side[], page?: number) => {
    if (now.current.busy || !sides.length) return;
    now.current.busy = true;
    void attempt(async (isLast) => {
      const { graph: old, kept } = now.current.shown;
      const { view } = now.current;
      const { graph, steps } = await old.opened(id, sides, view, page);
      const other = ({ node, side }: Shut) => !steps.some((one) => one.node === node && one.side === side);
      const next = { ...view, open: [...view.open.filter(other), ...steps], shut: view.shut.filter(other), selected: page ? view.selected : id };
      if (!(await redraw(old, graph, kept && new Set([...kept, id]), isLast, next))) return;
      say(`${graph.nodes.size - old.nodes.size} nodes added ${sides.map((side) => side.toLowerCase()).join(" and ")}, ${graph.nodes.size} in view`);
    });
  }, []);

  /** Takes off the screen what hangs at a side of a node alone. */
  const close = useCallback((id: string, side: Side) => {
    if (now.current.busy) return;
    now.current.busy = true;
    void attempt(async (isLast) => {
      const { graph: old, kept } = now.current.shown;
      const { view } = now.current;
      const graph = old.closed(id, side);
      const open = view.open.filter((one) => graph.nodes.has(one.node) && !(one.node === id && one.side === side));
      const next = { ...view, open, shut: [...view.shut.filter((one) => graph.nodes.has(one.node)), { node: id, side }], selected: id };
      if (!(await redraw(old, graph, kept, isLast, next))) return;
      say(`${old.nodes.size - graph.nodes.size} nodes taken out of view, ${graph.nodes.size} left`);
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

  const { graph, picture, places, drawn } = shown;
  const loaded = graph.nodes.size > 0;
  const whole = loaded && drawn >= picture.nodes.size;
  const [live, setLive] = useState(false);

  /** Reads nodes of the view again where they stand; the drawing may grow or be another by the time they are here. */
  const reread = useCallback(async (again: (graph: Graph) => Promise<Graph>) => {
    const { graph } = now.current.shown;
    const better = await again(graph).catch(() => graph); // the next reading will say what is wrong
    const newer = [...better.nodes.values()].filter((node) => node !== graph.nodes.get(node.id));
    if (!newer.length) return;
    repaint((shown) => (shown === graph ? better : shown.with(newer)));
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
      (known) => repaint((graph) => graph.ailing(known)),
      () => undefined, // not known to this caller: the state alone is shown
    );
  }, [graph]);

  const node = view.selected ? (graph.nodes.get(view.selected) ?? picture.nodes.get(view.selected)) : undefined;
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
  const fading = useMemo(() => faded(picture, view), [picture, view.types, view.states]);
  const filter = (chosen: Filter) => {
    remember({ ...now.current.view, ...chosen });
    const left = picture.nodes.size - faded(picture, chosen).size;
    say(`${left} of ${picture.nodes.size} stand out`);
  };
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
    const start = graph.nodes.get(view.from[0] ?? "");
    if (start) visited(start);
    const about = title || start?.label;
    document.title = `${about ? `${about} · ` : ""}Lineage · E2I metadata gateway`;
  }, [graph, view.from, title]);
  const welcome = !loaded && !busy && (!view.from.length || problem?.error.code === "NOT_FOUND");
  const name = (graph.nodes.get(view.from[0] ?? "")?.label ?? "lineage").replace(/\W+/g, "-");

  return (
    <>
      <Bar
        page="explorer"
        tools={<>
          <Walks view={view} onChange={start} onSince={(since) => remember({ ...now.current.view, since })} />
          {loaded && <RowFilter graph={graph} view={view} onChange={filter} />}
          <span class="tools">
            {loaded && <Views page="explorer" hash={() => write(view)} title={title} onTitle={entitle} />}
            <button disabled={!graph.nodes.size} onClick={() => void copy()} title="Copy the view as a GraphQL query">Copy GraphQL</button>
            <button disabled={!whole} onClick={() => download(`${name}.svg`, new Blob([asSvg(canvas.current!.svg(), places)], { type: "image/svg+xml" }))}>SVG</button>
            <button disabled={!whole} onClick={() => void attempt(async () => download(`${name}.png`, await asPng(canvas.current!.svg(), places)))}>PNG</button>
            <button disabled={!whole} onClick={() => download(`${name}.csv`, new Blob([asRows(graph)], { type: "text/csv" }))} title="The nodes of the view as a table">CSV</button>
          </span>
        </>}
      >
        <Search onPick={(id) => (pathFrom ? join(id) : startAt(id))} />
      </Bar>
      {problem && (
        <div class="error" role="alert">
          <b>{problem.error.message}</b> <code>{problem.error.code}</code>
          {problem.error.code === "UNAUTHENTICATED" ? <Token onKept={problem.again} /> : <button onClick={problem.again}>Try again</button>}
        </div>
      )}
      <main aria-busy={busy} class={loaded ? `beside beside-${tab}` : undefined}>
        {!welcome && <h1 class="spoken">Lineage{loaded && ` of ${graph.nodes.get(view.from[0] ?? "")?.label ?? "several rows"}`}</h1>}
        <div class="stage">
          {graph.nodes.size ? (
            <>
              <Canvas graph={picture} drawn={drawn} places={places} starts={view.from} selected={view.selected} faded={fading} marks={marked} handle={canvas} onSelect={select} onOpen={open} />
              <div class="told">
                <PartialAnswer graph={graph} live={live} onSelect={select} />
                {pathFrom && (
                  <p class="answer" role="status">
                    The way from <b>{graph.nodes.get(pathFrom)?.label ?? pathFrom}</b>: choose its other end in the drawing, the outline or the search. <button class="link" onClick={() => setPathFrom(null)}>Cancel</button>
                  </p>
                )}
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
          ) : busy ? <p class="empty">Reading the lineage …</p> : welcome && <Welcome onPick={startAt} />}
          {busy && <div class="progress" aria-hidden="true" />}
        </div>
        {graph.nodes.size > 0 && (
          <aside>
            <nav role="tablist" aria-label="Beside the graph">
              <button role="tab" aria-selected={tab === "details"} onClick={() => setTab("details")}>Details</button>
              <button role="tab" class="narrow" aria-selected={tab === "graph"} onClick={() => { setTab("graph"); requestAnimationFrame(() => canvas.current?.open()); }}>Drawing</button>
              <button role="tab" aria-selected={tab === "list"} onClick={() => setTab("list")}>Outline ({picture.nodes.size})</button>
            </nav>
            <div role="tabpanel" hidden={tab === "graph" && matchMedia(NARROW).matches}>
              {tab === "graph" ? null : tab === "list" ? (
                <Outline graph={picture} starts={view.from} selected={view.selected} faded={fading} onOpen={open} onSelect={point} />
              ) : node?.stack ? (
                <StackDetails stack={node.stack} label={node.label} parent={graph.nodes.get(node.stack.node)?.label ?? node.stack.node} busy={busy} onPin={select} onSelect={select} onMore={() => open(node.stack!.node, [node.stack!.side], READ_ON)} />
              ) : node ? (
                <NodeDetails onClose={close} onPath={setPathFrom} graph={graph} node={node} busy={busy} onOpen={open} onStart={startAt} onSelect={select} onAsk={start} onAct={(row, offer) => setActing({ row, offer })} />
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
