/** The page: reads the view from the URL, asks the API, draws, and writes the URL as the view grows. */

import { render } from "preact";
import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { ApiError, viewAsGraphQL, type Side } from "./api";
import { Canvas, type CanvasHandle } from "./canvas";
import { SchemeSwitch, Token, Walks, Welcome } from "./controls";
import { asPng, asSvg, download } from "./export";
import { Graph } from "./graph";
import "./graph.css";
import { place, type Places } from "./layout";
import { follow } from "./live";
import "./page.css";
import { Outline } from "./outline";
import { NodeDetails, PartialAnswer, Search } from "./panels";
import { keepToken, token } from "./session";
import { LEGEND, words } from "./tones";
import { read, write, type View } from "./view";

interface Shown {
  graph: Graph;
  places: Places;
  version: number;
  /** How many of the nodes, in their order, are drawn. */
  drawn: number;
}
const EMPTY: Shown = { graph: new Graph(), places: new Map(), version: 0, drawn: 0 };
/** So many nodes are added to the drawing in a frame: hundreds at once would freeze the page. */
const AT_ONCE = 40;
const frame = () => new Promise(requestAnimationFrame);

function Explorer() {
  const [view, setView] = useState<View>(() => read(location.hash));
  const [shown, setShown] = useState<Shown>(EMPTY);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<{ error: ApiError; again(): void } | null>(null);
  const [said, say] = useState("");
  const [toast, setToast] = useState("");
  const [tab, setTab] = useState<"details" | "list">("details");
  const canvas = useRef<CanvasHandle>(null);
  const now = useRef({ view, shown, busy });
  now.current = { view, shown, busy };
  const turn = useRef(0);

  const remember = useCallback((next: View, push = false) => {
    history[push ? "pushState" : "replaceState"](null, "", write(next));
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

  /** Draws the nodes of a graph that are not drawn yet, a part in each frame. */
  const unfold = useCallback(async (graph: Graph) => {
    for (;;) {
      await frame();
      const { shown } = now.current;
      if (shown.graph !== graph || shown.drawn >= graph.nodes.size) return;
      setShown((shown) => (shown.graph === graph ? { ...shown, drawn: shown.drawn + AT_ONCE } : shown));
    }
  }, []);

  const load = useCallback((next: View) => {
    void attempt(async (isLast) => {
      setShown(EMPTY);
      if (!next.from.length) return;
      const graph = await Graph.load(next);
      if (!graph.nodes.size) throw new ApiError(`There is no ${next.from.join(", ")} in this database.`, "NOT_FOUND");
      const places = await place([...graph.nodes.keys()], graph.edges.values(), new Map());
      if (!isLast()) return;
      setShown({ graph, places, version: 1, drawn: AT_ONCE });
      await frame();
      canvas.current?.fit();
      await unfold(graph);
      if (!isLast()) return;
      say(`${graph.nodes.size} nodes and ${graph.edges.size} edges${graph.reasons.length ? `. Partial: ${graph.reasons[0]}` : ""}`);
    });
  }, []);

  useEffect(() => {
    load(view);
    const travelled = () => {
      const next = read(location.hash);
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
    void attempt(async () => {
      const { graph, places, version } = now.current.shown;
      const before = graph.nodes.size;
      let steps = now.current.view.open;
      for (const side of sides) {
        const step = await graph.open(id, side, now.current.view);
        steps = [...steps.filter((one) => one.node !== id || one.side !== side), step];
      }
      const grown = await place([...graph.nodes.keys()], graph.edges.values(), places);
      setShown({ graph, places: grown, version: version + 1, drawn: before });
      remember({ ...now.current.view, open: steps, selected: id });
      await unfold(graph);
      say(`${graph.nodes.size - before} nodes added ${sides.map((side) => side.toLowerCase()).join(" and ")}, ${graph.nodes.size} in view`);
    });
  }, []);

  useEffect(() => {
    const pressed = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || (event.target as Element).closest("input, textarea, select")) return;
      if (event.key === "/") document.querySelector<HTMLInputElement>(".search input")?.focus();
      else if (event.key === "f") canvas.current?.fit();
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", pressed);
    return () => removeEventListener("keydown", pressed);
  }, []);

  const { graph, places, version, drawn } = shown;
  const loaded = graph.nodes.size > 0;
  const [live, setLive] = useState(false);
  /** A node of the view has moved: it is read again where it stands. */
  const moved = useCallback(async (id: string) => {
    const { graph } = now.current.shown;
    const node = await graph.refresh(id).catch(() => undefined); // the next reading will say what is wrong
    if (!node || graph !== now.current.shown.graph) return;
    setShown((shown) => ({ ...shown, version: shown.version + 1 }));
    say(`${node.label} is now ${words(node.state ?? "changed")}`);
  }, []);
  useEffect(() => (loaded ? follow((id) => void moved(id), setLive) : undefined), [loaded]);

  useEffect(() => {
    if (!view.selected) return;
    void graph.count([view.selected]).then((better) => {
      if (better && graph === now.current.shown.graph) setShown((shown) => ({ ...shown, version: shown.version + 1 }));
    }, () => undefined); // what was counted before still stands, with its plus
  }, [graph, view.selected]);

  const node = view.selected ? graph.nodes.get(view.selected) : undefined;
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
  const name = (graph.nodes.get(view.from[0] ?? "")?.label ?? "lineage").replace(/\W+/g, "-");

  return (
    <>
      <header class="bar">
        <a class="brand" href="explorer" title="Lineage explorer of the E2I metadata gateway"><i aria-hidden="true" />Lineage</a>
        <Search onPick={startAt} />
        <Walks view={view} onChange={start} />
        <span class="tools">
          <button disabled={!graph.nodes.size} onClick={() => void copy()} title="Copy the view as a GraphQL query">Copy GraphQL</button>
          <button disabled={!graph.nodes.size} onClick={() => download(`${name}.svg`, new Blob([asSvg(canvas.current!.svg(), places)], { type: "image/svg+xml" }))}>SVG</button>
          <button disabled={!graph.nodes.size} onClick={() => void attempt(async () => download(`${name}.png`, await asPng(canvas.current!.svg(), places)))}>PNG</button>
          {token() && <button title="Forget the token" onClick={() => { keepToken(""); location.reload(); }}>Sign out</button>}
          <SchemeSwitch />
        </span>
      </header>
      {problem && (
        <div class="error" role="alert">
          <b>{problem.error.message}</b> <code>{problem.error.code}</code>
          {problem.error.code === "UNAUTHENTICATED" ? <Token onKept={problem.again} /> : <button onClick={problem.again}>Try again</button>}
        </div>
      )}
      <main aria-busy={busy}>
        <div class="stage">
          {graph.nodes.size ? (
            <>
              <Canvas graph={graph} version={version} drawn={drawn} places={places} starts={view.from} selected={view.selected} handle={canvas} onSelect={select} onOpen={open} />
              <PartialAnswer graph={graph} live={live} onSelect={select} />
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
              <button role="tab" aria-selected={tab === "list"} onClick={() => setTab("list")}>Outline ({graph.nodes.size})</button>
            </nav>
            <div role="tabpanel">
              {tab === "list" ? (
                <Outline graph={graph} starts={view.from} selected={view.selected} onOpen={open} onSelect={point} />
              ) : node ? (
                <NodeDetails graph={graph} node={node} version={version} busy={busy} onOpen={open} onStart={startAt} onSelect={select} />
              ) : <p class="dim">Choose a node to see its fields, its lifecycle and its history.</p>}
            </div>
          </aside>
        )}
      </main>
      <p id="keys" class="spoken">Left and right follow edges, up and down go through the column, Enter expands, Shift with left or right expands one side, space selects. F shows all, slash searches. The outline beside the drawing is the same as a tree.</p>
      <p class="spoken" role="status" aria-live="polite">{said}</p>
      {toast && <p class="toast" role="status" onAnimationEnd={() => setToast("")}>{toast}</p>}
    </>
  );
}

render(<Explorer />, document.getElementById("explorer")!);
