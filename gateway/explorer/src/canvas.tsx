/** The drawing: nodes and edges as SVG, pan and zoom by d3-zoom, a minimap, and the keyboard. */

import { select } from "d3-selection";
import { zoom, zoomIdentity, type D3ZoomEvent, type ZoomBehavior } from "d3-zoom";
import { Component, type RefObject } from "preact";
import { useImperativeHandle, useLayoutEffect, useMemo, useRef, useState } from "preact/hooks";
import type { LineageEdge, LineageNode, Side } from "./api";
import type { Graph } from "./graph";
import { bounds, HEIGHT, WIDTH, type Place, type Places } from "./layout";
import { tone, typeName, words } from "./tones";

/** Below this scale text cannot be read and is not drawn. */
const FAR = 0.3;

/** Beyond this many edges their arrow heads only blur, and cost most of a frame. */
const MANY = 250;
/** At this scale text can be read with ease. */
const READABLE = 0.6;

export interface CanvasHandle {
  /** Shows the view: the whole of it, or what can be read around its start. */
  fit(whole?: boolean): void;
  zoomBy(factor: number): void;
  show(id: string, focus?: boolean): void;
  svg(): SVGSVGElement;
}
interface Props {
  graph: Graph;
  version: number;
  places: Places;
  starts: string[];
  selected: string | null;
  handle: RefObject<CanvasHandle | null>;
  onSelect(id: string): void;
  onOpen(id: string, sides: Side[]): void;
}

export function Canvas({ graph, version, places, starts, selected, handle, onSelect, onOpen }: Props) {
  const svg = useRef<SVGSVGElement>(null);
  const scene = useRef<SVGGElement>(null);
  const behaviour = useRef<ZoomBehavior<SVGSVGElement, unknown> | null>(null);
  const lens = useRef<SVGRectElement>(null);
  const [roving, setRoving] = useState<string | null>(null);
  const current = roving && places.has(roving) ? roving : (selected ?? starts[0] ?? null);
  const box = useMemo(() => bounds(places), [places]);

  useLayoutEffect(() => {
    const element = svg.current!;
    const moved = ({ transform }: D3ZoomEvent<SVGSVGElement, unknown>) => {
      scene.current!.setAttribute("transform", transform.toString());
      scene.current!.classList.toggle("far", transform.k < FAR);
      const { width, height } = element.getBoundingClientRect();
      const [x, y] = transform.invert([0, 0]);
      const view = { x, y, width: width / transform.k, height: height / transform.k };
      for (const [name, value] of Object.entries(view)) lens.current?.setAttribute(name, String(value));
    };
    const gesture = (on: boolean) => () => scene.current!.classList.toggle("moving", on);
    behaviour.current = zoom<SVGSVGElement, unknown>()
      .scaleExtent([0.02, 2.5])
      .on("start", gesture(true))
      .on("zoom", moved)
      .on("end", gesture(false));
    select(element).call(behaviour.current).on("dblclick.zoom", null);
  }, []);

  const api: CanvasHandle = {
    fit(whole = false) {
      const { width, height } = svg.current!.getBoundingClientRect();
      const scale = Math.min(1.1, width / box.width, height / box.height);
      const start = places.get(starts[0] ?? "");
      if (whole || scale >= READABLE || !start) {
        const middle = centre(box);
        this.move(width / 2 - middle.x * scale, height / 2 - middle.y * scale, scale);
        return;
      }
      // a large view is opened around its start, at a size that can be read, with as little empty room as may be
      const x = within(start.x, box.x, box.width, width / READABLE);
      const y = within(start.y, box.y, box.height, height / READABLE);
      this.move(width / 2 - x * READABLE, height / 2 - y * READABLE, READABLE);
    },
    move(x: number, y: number, k: number) {
      select(svg.current!).call(behaviour.current!.transform, zoomIdentity.translate(x, y).scale(k));
    },
    zoomBy(factor: number) {
      select(svg.current!).call(behaviour.current!.scaleBy, factor);
    },
    show(id: string, focus = false) {
      const at = places.get(id);
      if (!at) return;
      const { width, height } = svg.current!.getBoundingClientRect();
      const { x, y, k } = transformOf(scene.current!);
      const [left, top] = [at.x * k + x, at.y * k + y];
      const scale = Math.max(k, 0.6);
      if (scale !== k || left < 130 || top < 40 || left > width - 130 || top > height - 40) {
        this.move(width / 2 - at.x * scale, height / 2 - at.y * scale, scale);
      }
      if (focus) {
        setRoving(id);
        requestAnimationFrame(() => document.getElementById(`node-${id}`)?.focus());
      }
    },
    svg: () => svg.current!,
  } as CanvasHandle & { move(x: number, y: number, k: number): void };
  useImperativeHandle(handle, () => api, [places, starts]);

  /** Arrows walk along edges (left, right) and up and down the column; Enter opens. */
  function pressed(event: KeyboardEvent) {
    const id = (event.target as Element).closest<SVGGElement>("[data-node]")?.dataset.node;
    if (!id) return;
    const side: Side | null =
      event.key === "ArrowLeft" ? "UPSTREAM" : event.key === "ArrowRight" ? "DOWNSTREAM" : null;
    if (event.key === "Enter" || (side && event.shiftKey)) {
      onSelect(id);
      const hidden = graph.hidden(graph.nodes.get(id)!);
      const sides = side ? [side] : (["UPSTREAM", "DOWNSTREAM"] as const);
      onOpen(id, sides.filter((one) => hidden[one] > 0));
    } else if (event.key === " ") {
      onSelect(id);
    } else if (side) {
      const next = nearest(places, graph.neighbours(id, side), places.get(id)!);
      if (next) api.show(next, true);
    } else if (event.key === "ArrowUp" || event.key === "ArrowDown") {
      const next = inColumn(places, id, event.key === "ArrowUp" ? -1 : 1);
      if (next) api.show(next, true);
    } else return;
    event.preventDefault();
  }

  const edges = useMemo(() => [...graph.edges.values()], [graph, version]);
  return (
    <div class="canvas">
      <svg
        ref={svg}
        class={edges.length > MANY ? "graph many" : "graph"}
        role="group"
        aria-label={`Lineage, left to right: ${graph.nodes.size} nodes, ${graph.edges.size} edges`}
        aria-describedby="keys"
        onKeyDown={pressed}
      >
        <defs>
          {[["arrow", "--edge"], ["arrow-near", "--accent"], ["arrow-loop", "--loop"]].map(([id, colour]) => (
            <marker id={id} viewBox="0 0 8 8" refX="7.5" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto">
              <path d="M0 0 8 4 0 8z" style={`fill: var(${colour})`} />
            </marker>
          ))}
        </defs>
        <g ref={scene} class="scene">
          <g class="edges" aria-hidden="true">
            {edges.map((edge) => (
              <Edge key={`${edge.from} ${edge.kind} ${edge.to}`} edge={edge} from={places.get(edge.from)} to={places.get(edge.to)} near={edge.from === selected || edge.to === selected} />
            ))}
          </g>
          {[...graph.nodes.values()].map((node) => {
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
                cut={`${+(graph.cutsOf(node.id, "UPSTREAM").length > 0)}${+(graph.cutsOf(node.id, "DOWNSTREAM").length > 0)}`}
                start={starts.includes(node.id)}
                selected={node.id === selected}
                tab={node.id === current}
                onSelect={onSelect}
                onOpen={onOpen}
                onFocus={setRoving}
              />
            );
          })}
        </g>
      </svg>
      <Minimap graph={graph} places={places} box={box} lens={lens} onMove={(x, y) => {
        const { k } = transformOf(scene.current!);
        const { width, height } = svg.current!.getBoundingClientRect();
        (api as CanvasHandle & { move(x: number, y: number, k: number): void }).move(width / 2 - x * k, height / 2 - y * k, k);
      }} />
    </div>
  );
}

interface CardProps {
  node: LineageNode;
  at: Place;
  up: number;
  down: number;
  /** For each side, whether it was cut there (and can be read on) rather than never opened. */
  cut: string;
  start: boolean;
  selected: boolean;
  tab: boolean;
  onSelect(id: string): void;
  onOpen(id: string, sides: Side[]): void;
  onFocus(id: string): void;
}

/** One node. Drawn again only when something of it changed. */
class Card extends Component<CardProps> {
  shouldComponentUpdate(next: CardProps) {
    const drawn = ["node", "at", "up", "down", "cut", "start", "selected", "tab"] as const;
    return drawn.some((name) => next[name] !== this.props[name]);
  }

  render({ node, at, up, down, cut, start, selected, tab, onOpen, onSelect, onFocus }: CardProps) {
    const classes = ["node", `tone-${tone(node.state)}`, start && "start", selected && "selected"];
    return (
      <g
        id={`node-${node.id}`}
        data-node={node.id}
        class={classes.filter(Boolean).join(" ")}
        transform={`translate(${at.x - WIDTH / 2} ${at.y - HEIGHT / 2})`}
        role="button"
        tabindex={tab ? 0 : -1}
        aria-label={spoken(node, up, down)}
        aria-pressed={selected}
        onClick={() => onSelect(node.id)}
        onFocus={() => onFocus(node.id)}
      >
        <rect class="card" width={WIDTH} height={HEIGHT} rx="7" />
        <rect class="band" x="1" y="1" width="6" height={HEIGHT - 2} rx="3" />
        <text class="title" x="15" y="18">{short(node.label, 25)}</text>
        <text class="kind" x="15" y="34">{short(typeName(node.type) + (node.state ? ` · ${words(node.state)}` : ""), 31)}</text>
        <title>{`${typeName(node.type)}: ${node.label}`}</title>
        {up > 0 && <More x={-8} anchor="end" count={up} capped={node.degree.capped} cut={cut[0] === "1"} side="UPSTREAM" onClick={() => onOpen(node.id, ["UPSTREAM"])} />}
        {down > 0 && <More x={WIDTH + 8} anchor="start" count={down} capped={node.degree.capped} cut={cut[1] === "1"} side="DOWNSTREAM" onClick={() => onOpen(node.id, ["DOWNSTREAM"])} />}
      </g>
    );
  }
}

interface MoreProps {
  x: number;
  anchor: "start" | "end";
  count: number;
  capped: boolean;
  cut: boolean;
  side: Side;
  onClick(): void;
}

/** A collapsed end with how many edges it hides; "more" where some are shown already and it reads on. */
function More({ x, anchor, count, capped, cut, side, onClick }: MoreProps) {
  const text = `+${count.toLocaleString("en")}${capped ? "+" : ""}${cut ? " more" : ""}`;
  const width = 14 + text.length * 6.2;
  const left = anchor === "end" ? x - width : x;
  return (
    <g class={cut ? "more cut" : "more"} data-side={side} aria-hidden="true" onClick={(event) => { event.stopPropagation(); onClick(); }}>
      <rect x={left} y={HEIGHT / 2 - 10} width={width} height="20" rx="10" />
      <text x={left + width / 2} y={HEIGHT / 2 + 4}>{text}</text>
      <title>{`Show ${side.toLowerCase()}`}</title>
    </g>
  );
}

interface EdgeProps {
  edge: LineageEdge;
  from: Place | undefined;
  to: Place | undefined;
  near: boolean;
}
class Edge extends Component<EdgeProps> {
  shouldComponentUpdate(next: EdgeProps) {
    return (["edge", "from", "to", "near"] as const).some((name) => next[name] !== this.props[name]);
  }

  render({ edge, from, to, near }: EdgeProps) {
    if (!from || !to) return null;
    const [x1, x2] = [from.x + WIDTH / 2, to.x - WIDTH / 2];
    const forward = x2 > x1;
    // an edge that leads back goes around, above both of its ends
    const top = Math.min(from.y, to.y) - HEIGHT - 26;
    const bend = Math.max(60, (x2 - x1) / 2);
    const path = forward
      ? `M${x1} ${from.y}C${x1 + bend} ${from.y} ${x2 - bend} ${to.y} ${x2} ${to.y}`
      : `M${x1} ${from.y}C${x1 + 90} ${from.y} ${x1 + 60} ${top} ${x1 - 20} ${top}L${x2 + 20} ${top}C${x2 - 60} ${top} ${x2 - 90} ${to.y} ${x2} ${to.y}`;
    const classes = ["edge", edge.closesCycle && "closing", near && "near"].filter(Boolean).join(" ");
    const [x, y] = forward ? [(x1 + x2) / 2, (from.y + to.y) / 2 - 4] : [(x1 + x2) / 2, top - 5];
    return (
      <>
        <path class={classes} d={path} />
        {(near || edge.closesCycle) && (
          <text class={edge.closesCycle ? "edge-label closing" : "edge-label"} x={x} y={y}>
            {words(edge.kind) + (edge.closesCycle ? " · closes the loop" : "")}
          </text>
        )}
      </>
    );
  }
}

interface MinimapProps {
  graph: Graph;
  places: Places;
  box: { x: number; y: number; width: number; height: number };
  lens: RefObject<SVGRectElement | null>;
  onMove(x: number, y: number): void;
}
function Minimap({ graph, places, box, lens, onMove }: MinimapProps) {
  const map = useRef<SVGSVGElement>(null);
  function moved(event: PointerEvent) {
    if (!event.buttons) return;
    const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(map.current!.getScreenCTM()!.inverse());
    onMove(point.x, point.y);
  }
  const dot = Math.max(1, Math.max(box.width / 180, box.height / 120) * 3);
  return (
    <svg ref={map} class="minimap" aria-hidden="true" viewBox={`${box.x} ${box.y} ${box.width} ${box.height}`} onPointerDown={moved} onPointerMove={moved}>
      {[...places].map(([id, { x, y }]) => (
        <rect key={id} class={`tone-${tone(graph.nodes.get(id)?.state ?? null)}`} x={x - WIDTH / 2} y={y - Math.max(dot, HEIGHT) / 2} width={WIDTH} height={Math.max(dot, HEIGHT)} />
      ))}
      <rect ref={lens} class="lens" vector-effect="non-scaling-stroke" />
    </svg>
  );
}

function spoken(node: LineageNode, up: number, down: number): string {
  const ends = [up && `${up} more upstream`, down && `${down} more downstream`].filter(Boolean).join(", ");
  return [typeName(node.type), node.label, node.state ? words(node.state) : "", ends].filter(Boolean).join(", ");
}

function short(text: string, most: number): string {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}

function centre({ x, y, width, height }: { x: number; y: number; width: number; height: number }): Place {
  return { x: x + width / 2, y: y + height / 2 };
}

/** The middle of a window that is as near to a point as it can be without leaving the range. */
function within(point: number, from: number, length: number, window: number): number {
  if (length <= window) return from + length / 2;
  return Math.min(Math.max(point, from + window / 2), from + length - window / 2);
}

function transformOf(scene: SVGGElement): { x: number; y: number; k: number } {
  const matrix = scene.transform.baseVal.consolidate()?.matrix;
  return { x: matrix?.e ?? 0, y: matrix?.f ?? 0, k: matrix?.a ?? 1 };
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
