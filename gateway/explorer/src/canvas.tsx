/** The drawing: nodes and edges as SVG, what of it is in sight, a minimap, and the keyboard. */

import type { RefObject } from "preact";
import { useImperativeHandle, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { LineageEdge, Side } from "./api";
import { Camera } from "./camera";
import { Card, Edge, route } from "./cards";
import type { Mark } from "./diff";
import type { Graph } from "./graph";
import { labels, LINE_HEIGHT } from "./labels";
import { bounds, type Box, type Place, type Places } from "./layout";
import { Minimap } from "./minimap";

/**
 * Beyond this many edges their arrow heads only blur, and cost most of a frame; and those that leave one node are one
 * element.
 */
const MANY = 250;

export interface CanvasHandle {
  /** Shows the view so that it can be read: all of it, or what is around the node that is selected or that it starts at. */
  open(): void;
  /** Shows the whole view, however small. */
  fit(): void;
  zoomBy(factor: number): void;
  /** Brings a node into sight, and gives it the focus if asked to. */
  show(id: string, focus?: boolean): void;
  svg(): SVGSVGElement;
}
interface Props {
  graph: Graph;
  /** How many nodes, in their order, are drawn by now, with the edges among them. */
  drawn: number;
  places: Places;
  starts: string[];
  selected: string | null;
  /** The nodes that a filter does not choose. */
  faded: ReadonlySet<string>;
  marks: ReadonlyMap<string, Mark>;
  handle: RefObject<CanvasHandle | null>;
  onSelect(id: string): void;
  onOpen(id: string, sides: Side[]): void;
}

export function Canvas({ graph, drawn, places, starts, selected, faded, marks, handle, onSelect, onOpen }: Props) {
  const pane = useRef<HTMLDivElement>(null);
  const scene = useRef<HTMLDivElement>(null);
  const sheet = useRef<HTMLDivElement>(null);
  const svg = useRef<SVGSVGElement>(null);
  const camera = useRef<Camera | null>(null);
  const lens = useRef<((sight: Box) => void) | null>(null);
  const [roving, setRoving] = useState<string | null>(null);
  const current = roving && places.has(roving) ? roving : (selected ?? starts[0] ?? null);

  useLayoutEffect(() => {
    camera.current = new Camera(pane.current!, scene.current!, sheet.current!, (sight) => lens.current?.(sight));
    return () => camera.current!.close();
  }, []);
  useLayoutEffect(() => camera.current!.look(), [places]); // the map of a view that has grown has another scale

  function show(id: string, focus = false) {
    const at = places.get(id);
    if (!at) return;
    camera.current!.show(at);
    if (!focus) return;
    setRoving(id);
    requestAnimationFrame(() => document.getElementById(`node-${id}`)?.focus({ preventScroll: true }));
  }
  const methods: CanvasHandle = {
    open: () => {
      const at = places.get(selected ?? "") ?? places.get(starts[0] ?? "") ?? [...places.values()][0];
      if (at) camera.current!.open(bounds(places), at);
    },
    fit: () => camera.current!.fit(bounds(places)),
    zoomBy: (factor) => camera.current!.zoomBy(factor),
    show,
    svg: () => svg.current!,
  };
  useImperativeHandle(handle, () => methods, [places]);

  /** Arrows walk along edges (left, right) and up and down the column; with Shift they expand; Enter expands both sides. */
  function pressed(event: KeyboardEvent) {
    const id = (event.target as Element).closest<SVGGElement>("[data-node]")?.dataset.node;
    if (!id) return;
    const side: Side | null =
      event.key === "ArrowLeft" ? "UPSTREAM" : event.key === "ArrowRight" ? "DOWNSTREAM" : null;
    if (event.key === "Enter" || (side && event.shiftKey)) {
      onSelect(id);
      onOpen(id, graph.closedSides(id, side));
    } else if (event.key === " ") {
      onSelect(id);
    } else if (side) {
      const next = nearest(places, graph.neighbours(id, side), places.get(id)!);
      if (next) show(next, true);
    } else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      const next = inColumn(places, id, event.key === "ArrowUp" ? -1 : 1);
      if (next) show(next, true);
    } else return;
    event.preventDefault();
  }

  const nodes = useMemo(() => [...graph.nodes.values()].slice(0, drawn), [graph, drawn]);
  const chosen = useMemo(() => (faded.size ? nodes.filter(({ id }) => !faded.has(id)) : nodes), [nodes, faded]);
  const many = graph.edges.size > MANY;
  const cut = useMemo(() => new Set([...graph.cuts.values()].map((one) => one.node + one.direction)), [graph]);
  const [edges, bundles] = useMemo(() => {
    const among = new Set(nodes.map((node) => node.id));
    const edges: [string, LineageEdge][] = [];
    const bundles = new Map<string, string>();
    for (const [name, edge] of graph.edges) {
      const { from, to } = edge;
      if (!among.has(from) || !among.has(to)) continue;
      if (!many || edge.closesCycle || from === selected || to === selected) edges.push([name, edge]);
      else bundles.set(from, (bundles.get(from) ?? "") + route(places.get(from)!, places.get(to)!));
    }
    return [edges, [...bundles]];
  }, [graph, places, nodes, selected, many]);
  const named = useMemo(() => labels(edges.map(([, edge]) => edge), places, selected), [edges]);
  const box = useMemo(() => bounds(places), [places]);
  return (
    <div class="canvas">
      <div ref={pane} class={many ? "pane many" : "pane"} onKeyDown={pressed}>
        <div ref={scene} class="scene"><div ref={sheet} class="paper">
          <svg
            ref={svg}
            class={many ? "graph many" : "graph"}
            role="group"
            aria-label={`Lineage, left to right: ${graph.nodes.size} nodes, ${graph.edges.size} edges`}
            aria-describedby="keys"
            viewBox={`${box.x} ${box.y} ${box.width} ${box.height}`}
            style={{ left: box.x, top: box.y, width: box.width, height: box.height }}
          >
            <Arrows />
            <g class="edges" aria-hidden="true">
              {bundles.map(([from, path]) => <path key={from} class="edge" d={path} />)}
              {edges.map(([name, edge]) => (
                <Edge key={name} edge={edge} from={places.get(edge.from)!} to={places.get(edge.to)!} near={edge.from === selected || edge.to === selected} />
              ))}
            </g>
            {nodes.map((node) => {
              const at = places.get(node.id);
              if (!at) return null;
              const hidden = graph.hidden(node);
              return (
                <Card
                  key={node.id}
                  node={node}
                  at={at}
                  up={hidden.UPSTREAM}
                  down={hidden.DOWNSTREAM}
                  cut={`${+cut.has(`${node.id}UPSTREAM`)}${+cut.has(`${node.id}DOWNSTREAM`)}`}
                  start={starts.includes(node.id)}
                  selected={node.id === selected}
                  tab={node.id === current}
                  faded={faded.has(node.id)}
                  mark={marks.get(node.id)}
                  onSelect={onSelect}
                  onOpen={onOpen}
                  onFocus={setRoving}
                />
              );
            })}
            <g aria-hidden="true">
              {named.map(({ key, x, y, anchor, lines, closing }) => (
                <text key={key} class={closing ? "edge-label closing" : "edge-label"} y={y} text-anchor={anchor}>
                  {lines.map((line, at) => <tspan key={at} x={x} dy={at ? LINE_HEIGHT : (1 - lines.length) * LINE_HEIGHT}>{line}</tspan>)}
                </text>
              ))}
            </g>
          </svg>
        </div></div>
      </div>
      <Minimap nodes={chosen} places={places} lens={lens} onMove={(to) => camera.current!.centre(to)} />
    </div>
  );
}

function Arrows() {
  return (
    <defs>
      {[["arrow", "--edge"], ["arrow-near", "--accent"], ["arrow-loop", "--loop"]].map(([id, colour]) => (
        <marker id={id} viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">
          <path d="M0 0 8 4 0 8z" style={`fill: var(${colour})`} />
        </marker>
      ))}
    </defs>
  );
}

function nearest(places: Places, ids: string[], to: Place): string | null {
  const away = (id: string) => Math.abs((places.get(id)?.y ?? Infinity) - to.y);
  return ids.sort((a, b) => away(a) - away(b))[0] ?? null;
}

function inColumn(places: Places, id: string, step: 1 | -1): string | null {
  const at = places.get(id)!;
  const column = [...places].filter(([, place]) => place.x === at.x).sort((a, b) => a[1].y - b[1].y);
  return column[column.findIndex(([one]) => one === id) + step]?.[0] ?? null;
}
