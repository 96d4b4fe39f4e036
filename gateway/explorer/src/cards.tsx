/** What is drawn of a node and of an edge. */

import { Component } from "preact";
import type { LineageEdge, LineageNode, Side } from "./api";
import type { Mark } from "./diff";
import { dated } from "./format";
import type { Stack } from "./graph";
import { HEIGHT, WIDTH, type Place } from "./layout";
import { signOf } from "./signs";
import { amount, AT_LEAST, standing, toneOf, typeName } from "./tones";

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
  /** Whether a filter does not choose it. */
  faded: boolean;
  /** What has become of it in the time that is asked about. */
  mark?: Mark;
  onSelect(id: string): void;
  onOpen(id: string, sides: Side[]): void;
  onFocus(id: string): void;
}

/** Marks in words. */
const MARKS: Record<Mark, string> = { added: "added", gone: "out of use", changed: "changed" };

/** One node. Drawn again only when something of it changed. */
export class Card extends Component<CardProps> {
  shouldComponentUpdate(next: CardProps) {
    const drawn = ["node", "at", "up", "down", "cut", "start", "selected", "tab", "faded", "mark"] as const;
    return drawn.some((name) => next[name] !== this.props[name]);
  }

  render({ node, at, up, down, cut, start, selected, tab, faded, mark, onOpen, onSelect, onFocus }: CardProps) {
    const classes = ["node", `tone-${toneOf(node)}`, start && "start", selected && "selected", faded && "faded", mark && `mark-${mark}`];
    const label = lines(node.label);
    return (
      <g
        id={`node-${node.id}`}
        data-node={node.id}
        class={classes.filter(Boolean).join(" ")}
        transform={`translate(${at.x - WIDTH / 2} ${at.y - HEIGHT / 2})`}
        role="button"
        tabindex={tab ? 0 : -1}
        aria-pressed={selected}
        aria-expanded={up + down === 0}
        onClick={() => onSelect(node.id)}
        onFocus={() => onFocus(node.id)}
      >
        <title>{[spoken(node, up, down), mark && MARKS[mark]].filter(Boolean).join(", ")}</title>
        {mark && <text class="mark" x={WIDTH / 2} y="-4">{MARKS[mark]}</text>}
        {node.stack && <rect class="card under" x="5" y="5" width={WIDTH} height={HEIGHT} rx="7" />}
        <rect class="card" width={WIDTH} height={HEIGHT} rx="7" />
        <rect class="band" x="1" y="1" width="6" height={HEIGHT - 2} rx="3" />
        <path class="sign" transform={`translate(${WIDTH - 23} 5)`} d={signOf(node.type)} />
        {node.stack && <Shares stack={node.stack} />}
        {label.map((line, at) => <text key={at} class="title" x={TEXT} y={(label.length > 1 ? 17 : 24) + at * 15}>{line}</text>)}
        <text class="kind" x={TEXT} y={label.length > 1 ? 49 : 43}>{shortened([!node.stack && typeName(node.type), standing(node)].filter(Boolean).join(" · "), BELOW, KIND)}</text>
        {up > 0 && <More count={up} capped={node.degree.capped} cut={cut[0] === "1"} side="UPSTREAM" onClick={() => onOpen(node.id, ["UPSTREAM"])} />}
        {down > 0 && <More count={down} capped={node.degree.capped} cut={cut[1] === "1"} side="DOWNSTREAM" onClick={() => onOpen(node.id, ["DOWNSTREAM"])} />}
      </g>
    );
  }
}

/** The states of many rows as a bar. */
function Shares({ stack: { members, tones } }: { stack: Stack }) {
  let x = TEXT;
  return (
    <g class="shares">
      {[...tones].map(([tone, many]) => {
        const width = (many / members.length) * (WIDTH - 2 * TEXT);
        const bar = <rect key={tone} class={`share-${tone}`} x={x} y={HEIGHT - 8} width={width} height="4" />;
        x += width;
        return bar;
      })}
    </g>
  );
}

interface MoreProps {
  count: number;
  capped: boolean;
  cut: boolean;
  side: Side;
  onClick(): void;
}

/**
 * A collapsed end with how many edges it hides; "more" where some are shown already and it reads on. It hangs at a corner
 * of its card: between two columns the ends of both would lie over each other.
 */
function More({ count, capped, cut, side, onClick }: MoreProps) {
  const text = `+${amount(count, capped)}${cut ? " more" : ""}`;
  const width = 14 + text.length * 6.2;
  const left = side === "UPSTREAM" ? 5 : WIDTH - 5 - width;
  return (
    <g class={cut ? "more cut" : "more"} data-side={side} aria-hidden="true" onClick={(event) => { event.stopPropagation(); onClick(); }}>
      <rect x={left} y={HEIGHT - 4} width={width} height="18" rx="9" />
      <text x={left + width / 2} y={HEIGHT + 9.5}>{text}</text>
      <title>{`Show ${side.toLowerCase()}${capped ? `: ${AT_LEAST}` : ""}`}</title>
    </g>
  );
}

interface EdgeProps {
  edge: LineageEdge;
  from: Place;
  to: Place;
  near: boolean;
}
export class Edge extends Component<EdgeProps> {
  shouldComponentUpdate(next: EdgeProps) {
    return (["edge", "from", "to", "near"] as const).some((name) => next[name] !== this.props[name]);
  }

  render({ edge, from, to, near }: EdgeProps) {
    return <path class={["edge", edge.closesCycle && "closing", near && "near"].filter(Boolean).join(" ")} d={route(from, to)} />;
  }
}

/** The line of an edge, as SVG writes paths. */
export function route(from: Place, to: Place): string {
  const [x1, x2] = [from.x + WIDTH / 2, to.x - WIDTH / 2];
  const bend = Math.max(60, (x2 - x1) / 2);
  const top = around(from, to);
  return leadsOn(from, to)
    ? `M${x1} ${from.y}C${x1 + bend} ${from.y} ${x2 - bend} ${to.y} ${x2} ${to.y}`
    : `M${x1} ${from.y}C${x1 + 90} ${from.y} ${x1 + 60} ${top} ${x1 - 20} ${top}L${x2 + 20} ${top}C${x2 - 60} ${top} ${x2 - 90} ${to.y} ${x2} ${to.y}`;
}

export function leadsOn(from: Place, to: Place): boolean {
  return to.x - from.x > WIDTH;
}

/** How high an edge that leads back goes around both of its ends. */
export function around(from: Place, to: Place): number {
  return Math.min(from.y, to.y) - HEIGHT - 26;
}

/** How many edges are not shown, in words. */
export function unseen(up: number, down: number): string {
  return [up && `${up} more upstream`, down && `${down} more downstream`].filter(Boolean).join(", ");
}

/** A node in words: what it is, its state, and what is not shown around it. */
export function spoken(node: LineageNode, up: number, down: number): string {
  return [node.stack ? "Many rows" : typeName(node.type), node.label, standing(node), unseen(up, down)].filter(Boolean).join(", ");
}

type Font = "600 13px" | "400 12px";
const NAME: Font = "600 13px";
const KIND: Font = "400 12px";
/** Where text begins. */
const TEXT = 15;
/** Pixels of a line: beside the sign of the type, and below it. */
const BESIDE = WIDTH - TEXT - 28;
const BELOW = WIDTH - TEXT - 6;

const pen = typeof document === "undefined" ? null : document.createElement("canvas").getContext("2d");
const widths = new Map<string, number>();

/** Pixels of a text; where nothing can be drawn, as in a font of usual width. */
function wide(text: string, font: Font): number {
  if (!pen) return 8.6 * (text.length + 0.45 * (text.match(/[A-Zmw…_]/g)?.length ?? 0) - 0.35 * (text.match(/[ijlftr.:\- 1]/g)?.length ?? 0));
  let sum = 0;
  for (const sign of text) {
    let width = widths.get(font + sign);
    if (width === undefined) {
      pen.font = `${font} system-ui, sans-serif`;
      widths.set(font + sign, (width = pen.measureText(sign).width));
    }
    sum += width;
  }
  return sum;
}

/** How many characters of a text fit in so many pixels. */
function fitting(of: (most: number) => string, pixels: number, font: Font): number {
  let most = 48;
  while (most > 1 && wide(of(most), font) > pixels) most--;
  return most;
}

function shortened(text: string, pixels: number, font: Font): string {
  return short(text, fitting((most) => short(text, most), pixels, font));
}

/** A name in at most two lines, broken between its words. The middle of what is longer is left out. */
export function lines(label: string): string[] {
  const text = dated(label);
  if (wide(text, NAME) <= BESIDE) return [text];
  const first = fitting((most) => text.slice(0, most), BESIDE, NAME);
  const at = Math.max(...[" ", "-", "_", "/"].map((sign) => text.lastIndexOf(sign, first - 1)));
  const cut = at > 3 ? at + 1 : first;
  return [text.slice(0, cut).trimEnd(), shortened(text.slice(cut).trimStart(), BELOW, NAME)];
}

/** A name with its middle left out where it is long: versions differ at the end. */
function short(text: string, most: number): string {
  const told = dated(text);
  const tail = Math.floor(most * 0.35);
  return told.length > most ? `${told.slice(0, most - tail - 1)}…${told.slice(told.length - tail)}` : told;
}
