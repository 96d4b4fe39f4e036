/**
 * The part of the lineage that is on screen, merged from answers; what was cut stays known.
 *
 * A graph that is shown never changes: what grows or is read again is another graph, which is shown once it is whole.
 */

import { among, counted, COUNTED_AT_ONCE, lineage, type Frontier, type Lineage, type LineageEdge, type LineageNode, type Side, type Walk } from "./api";
import { amount, named, toneOf, typeName, words, type Tone } from "./tones";
import type { Shut, Step, View } from "./view";

/** Rows of each kind that opening a side, or reading on, brings. */
export const PAGE = 25;
const MOST = 500;

/** So many rows of one type that hang at one node alone are one card. */
export const STACKED = 8;

/** Rows of one type that hang at one node by one kind of edge, and at nothing else that is on screen: one card. */
export interface Stack {
  node: string;
  side: Side;
  kind: string;
  type: string;
  members: LineageNode[];
  /** How many more there are that are not on screen. */
  more: number;
  capped: boolean;
  tones: Map<Tone, number>;
}

/** Where a walk was cut, with the walk, which its cursor belongs to. */
export interface Cut extends Frontier {
  walk: Walk;
}

/** A node in the outline: below which node it stands, and along which edge. */
export interface Line {
  id: string;
  level: number;
  parent: string | null;
  /** The edge in words, as seen from the parent. */
  lead: string;
  place: number;
  among: number;
  children: number;
}

export class Graph {
  private constructor(
    readonly nodes = new Map<string, LineageNode>(),
    readonly edges = new Map<string, LineageEdge>(),
    readonly cuts = new Map<string, Cut>(),
    /** Why the last walks were not whole, in the API's words. */
    public reasons: string[] = [],
    public missing: string[] = [],
    public omitted: { type: string; count: number }[] = [],
    public asOf = "",
    private starts: string[] = [],
    private shown = new Map<string, { UPSTREAM: number; DOWNSTREAM: number }>(),
  ) {}

  static readonly EMPTY = new Graph();

  /** Whether the walks found all that they were asked for. */
  get whole(): boolean {
    return !this.reasons.length && !this.missing.length && !this.omitted.length;
  }

  /** A view from its link: the walk from its start, then each opened side. */
  static async load(view: View): Promise<Graph> {
    const graph = new Graph();
    graph.starts = view.from;
    await graph.walk({
      from: view.from,
      direction: view.direction,
      maxDepth: view.depth,
      perNodeLimit: view.per,
      maxNodes: MOST,
      ...through(view),
    });
    for (const step of view.open) {
      if (graph.nodes.has(step.node)) await graph.walk(opening(step, view));
    }
    await graph.join();
    return view.shut.reduce((shown, { node, side }) => shown.closed(node, side), graph);
  }

  /** This graph with sides of a node opened, or read on where they were cut, and the steps that a link needs for it. */
  async opened(id: string, sides: Side[], view: View, page = PAGE): Promise<{ graph: Graph; steps: Step[] }> {
    const graph = this.copy();
    const steps = [];
    for (const side of sides) steps.push(await graph.open(id, side, view, page));
    await graph.join();
    return { graph, steps };
  }

  /** This graph with a node of it as it is now; itself if that is not on screen or has gone. */
  async refreshed(id: string): Promise<Graph> {
    if (!this.nodes.has(id)) return this;
    const { nodes } = await among([id]);
    return nodes.length ? this.with(nodes).counted([id]) : this;
  }

  /** This graph with all edges of nodes counted, where more are there than a walk counts; itself if nothing is better known. */
  async counted(ids: Iterable<string>): Promise<Graph> {
    const graph = this.copy();
    return (await graph.count(ids)) ? graph : this;
  }

  /** This graph with these nodes in place of its own; those that it does not have are left out. */
  with(nodes: Iterable<LineageNode>): Graph {
    const graph = this.copy();
    for (const node of nodes) if (graph.nodes.has(node.id)) graph.nodes.set(node.id, node);
    return graph;
  }

  /**
   * This graph without what hangs at a side of a node alone: whatever has no other way to it, on screen, than through
   * that side. Itself if there is nothing of that.
   */
  closed(id: string, side: Side): Graph {
    const away = this.beyond(id, side);
    if (!away.size) return this;
    const graph = this.copy();
    for (const one of away) graph.nodes.delete(one);
    for (const [name, { from, to }] of graph.edges) if (away.has(from) || away.has(to)) graph.edges.delete(name);
    for (const [name, cut] of graph.cuts) {
      // what is opened again is read from its beginning
      if (away.has(cut.node) || (cut.node === id && cut.direction === side)) graph.cuts.delete(name);
    }
    graph.tally();
    return graph;
  }

  /** The nodes that closing a side of a node takes off the screen. */
  beyond(id: string, side: Side): Set<string> {
    const around = new Map<string, string[]>();
    const [near, far] = side === "UPSTREAM" ? (["to", "from"] as const) : (["from", "to"] as const);
    const next = new Set<string>();
    for (const edge of this.edges.values()) {
      if (edge[near] === id) {
        next.add(edge[far]);
        continue;
      }
      for (const [one, other] of [[edge.from, edge.to], [edge.to, edge.from]] as const) around.set(one, [...(around.get(one) ?? []), other]);
    }
    const reached = (from: Iterable<string>) => {
      const seen = new Set(from);
      for (const one of seen) for (const other of around.get(one) ?? []) seen.add(other); // a set goes on to what is added
      return seen;
    };
    const kept = reached([id, ...this.starts]);
    return new Set([...reached(next)].filter((one) => !kept.has(one)));
  }

  /**
   * What is drawn of this graph: rows of a kind that hang at one node alone are one node, whose `stack` has them. Those
   * that are kept stand for themselves.
   */
  stacked(kept: ReadonlySet<string>): Graph {
    const only = new Map<string, LineageEdge | null>();
    for (const edge of this.edges.values()) for (const id of [edge.from, edge.to]) only.set(id, only.has(id) ? null : edge);
    const stacks = new Map<string, Stack>();
    for (const [id, edge] of only) {
      const node = this.nodes.get(id);
      if (!edge || !node || edge.from === edge.to || kept.has(id)) continue;
      const [at, side]: [string, Side] = edge.from === id ? [edge.to, "UPSTREAM"] : [edge.from, "DOWNSTREAM"];
      const name = `${at} ${side} ${edge.kind} ${node.type}`;
      const stack = stacks.get(name) ?? { node: at, side, kind: edge.kind, type: node.type, members: [], more: 0, capped: false, tones: new Map<Tone, number>() };
      stack.members.push(node);
      stack.tones.set(toneOf(node), (stack.tones.get(toneOf(node)) ?? 0) + 1);
      stacks.set(name, stack);
    }
    const graph = this.copy();
    for (const [name, stack] of stacks) {
      if (stack.members.length < STACKED) continue;
      const cut = this.cuts.get(name);
      if (cut) [stack.more, stack.capped] = [cut.remaining, cut.capped];
      for (const { id } of stack.members) graph.nodes.delete(id);
      for (const [key, { from, to }] of graph.edges) if (!graph.nodes.has(from) || !graph.nodes.has(to)) graph.edges.delete(key);
      const id = `Stack:${name.replaceAll(" ", "~")}`;
      const told = `${amount(stack.members.length + stack.more, stack.capped)} ${named(stack.members.length + stack.more, stack.type)}`;
      graph.nodes.set(id, { id, type: stack.type, label: told, state: null, degree: { upstream: 0, downstream: 0, capped: false }, stack });
      const [from, to] = stack.side === "UPSTREAM" ? [id, stack.node] : [stack.node, id];
      graph.edges.set(`${from} ${stack.kind} ${to}`, { from, to, kind: stack.kind, closesCycle: false });
    }
    return graph;
  }

  cutsOf(id: string, side: Side): Cut[] {
    return [...this.cuts.values()].filter((cut) => cut.node === id && cut.direction === side);
  }

  /** How many edges of a side are not on screen. */
  hidden(node: LineageNode): { UPSTREAM: number; DOWNSTREAM: number } {
    const shown = this.shown.get(node.id) ?? { UPSTREAM: 0, DOWNSTREAM: 0 };
    return {
      UPSTREAM: Math.max(0, node.degree.upstream - shown.UPSTREAM),
      DOWNSTREAM: Math.max(0, node.degree.downstream - shown.DOWNSTREAM),
    };
  }

  /** The sides of a node (one, or both unless said) that have edges which are not on screen. */
  closedSides(id: string, side: Side | null = null): Side[] {
    const node = this.nodes.get(id);
    const hidden = node && this.hidden(node);
    return hidden ? (["UPSTREAM", "DOWNSTREAM"] as const).filter((one) => hidden[one] > 0 && one === (side ?? one)) : [];
  }

  neighbours(id: string, side: Side): string[] {
    const found = new Set<string>();
    for (const edge of this.edges.values()) {
      if (side === "UPSTREAM" && edge.to === id) found.add(edge.from);
      if (side === "DOWNSTREAM" && edge.from === id) found.add(edge.to);
    }
    return [...found];
  }

  /** Every node once, below the nearest one that it is linked to, from the starts on; what nothing leads to comes last. */
  outline(starts: string[]): Line[] {
    const around = new Map<string, [string, string][]>([...this.nodes.keys()].map((id) => [id, []]));
    for (const { from, to, kind } of this.edges.values()) {
      around.get(from)?.push([to, `${words(kind)} →`]);
      around.get(to)?.push([from, `← ${words(kind)}`]);
    }
    const below = new Map<string | null, [string, string][]>([[null, []]]);
    const seen = new Set<string>();
    const queue: string[] = [];
    const put = (parent: string | null, id: string, lead: string) => {
      seen.add(id);
      queue.push(id);
      below.set(parent, [...(below.get(parent) ?? []), [id, lead]]);
    };
    const drain = () => {
      for (let at = queue.shift(); at; at = queue.shift()) {
        for (const [id, lead] of around.get(at)!) if (!seen.has(id)) put(at, id, lead);
      }
    };
    for (const start of starts) if (around.has(start) && !seen.has(start)) put(null, start, "");
    drain();
    for (const id of this.nodes.keys()) {
      if (!seen.has(id)) put(null, id, "");
      drain();
    }
    const lines: Line[] = [];
    const tell = (parent: string | null, level: number) => {
      const children = below.get(parent) ?? [];
      children.forEach(([id, lead], place) => {
        lines.push({ id, level, parent, lead, place: place + 1, among: children.length, children: below.get(id)?.length ?? 0 });
        tell(id, level + 1);
      });
    };
    tell(null, 1);
    return lines;
  }

  /** This graph with the health of its models, as far as that is known; itself if nothing is new. */
  ailing(known: ReadonlyMap<string, string | null>): Graph {
    const better = [...this.nodes.values()]
      .filter(({ id, health }) => known.has(id) && health !== known.get(id))
      .map((node) => ({ ...node, health: known.get(node.id) ?? null }));
    return better.length ? this.with(better) : this;
  }

  /** Models whose health was not asked for yet. */
  unexamined(): string[] {
    return [...this.nodes.values()].filter(({ type, health }) => type === "Model" && health === undefined).map(({ id }) => id);
  }

  private copy(): Graph {
    const { nodes, edges, cuts, reasons, missing, omitted, asOf, starts, shown } = this;
    const own = new Map([...cuts].map(([name, cut]) => [name, { ...cut }]));
    return new Graph(new Map(nodes), new Map(edges), own, reasons, missing, omitted, asOf, starts, shown);
  }

  private async open(id: string, side: Side, view: View, size: number): Promise<Step> {
    const cuts = this.cutsOf(id, side);
    const limit = (cuts[0]?.walk.perNodeLimit ?? 0) + size;
    if (!cuts.length) await this.walk(opening({ node: id, side, limit: size }, view));
    for (const [walk, some] of groups(cuts)) {
      const page = { ...walk, maxDepth: some[0]!.depth + 1, perNodeLimit: size, after: some.map((cut) => cut.cursor) };
      await this.walk(page, { ...walk, perNodeLimit: limit }, some);
    }
    return { node: id, side, limit: Math.min(limit, 1000) };
  }

  /** Counts all edges of nodes, where more are there than a walk counts. Whether anything is known better then. */
  private async count(ids: Iterable<string>): Promise<boolean> {
    const hot = [...ids].filter((id) => this.nodes.get(id)?.degree.capped).slice(0, COUNTED_AT_ONCE);
    if (!hot.length) return false;
    const { nodes, frontier } = await counted(hot);
    for (const node of nodes) this.nodes.set(node.id, node);
    const shown = new Map<string, number>();
    for (const { from, to, kind } of this.edges.values()) {
      for (const [id, side, other] of [[from, "DOWNSTREAM", to], [to, "UPSTREAM", from]] as const) {
        const name = [id, side, kind, this.nodes.get(other)?.type].join(" ");
        shown.set(name, (shown.get(name) ?? 0) + 1);
      }
    }
    for (const all of frontier) {
      const cut = this.cuts.get(key(all));
      if (cut?.capped) Object.assign(cut, { remaining: all.remaining - (shown.get(key(all)) ?? 0), capped: all.capped });
    }
    return true;
  }

  /** Adds what a walk finds. The cuts that it goes on from are none any more once it has answered. */
  private async walk(walk: Walk, origin = walk, from: Cut[] = []): Promise<void> {
    const answer = await lineage(walk);
    for (const cut of from) this.cuts.delete(key(cut));
    this.merge(answer);
    this.asOf = answer.asOf;
    for (const cut of answer.frontier) {
      // a node at the last depth is merely closed; its count says so
      if (cut.depth < walk.maxDepth) this.cuts.set(key(cut), { ...cut, walk: origin });
    }
    if (answer.reason && !this.reasons.includes(answer.reason)) this.reasons = [...this.reasons, answer.reason].slice(-4);
    this.missing = [...new Set([...this.missing, ...answer.missing])];
    this.omitted = [...this.omitted, ...answer.omitted];
  }

  /** Adds the edges among nodes that came by different walks, and counts what is around hot ones. */
  private async join(): Promise<void> {
    const ids = [...this.nodes.keys()];
    if (ids.length > 1 && ids.length <= 1000) this.merge(await among(ids));
    this.tally();
    await this.count(ids);
  }

  /** Counts the edges on screen of each node. */
  private tally(): void {
    this.shown = new Map();
    for (const { from, to } of this.edges.values()) {
      for (const [id, side] of [[from, "DOWNSTREAM"], [to, "UPSTREAM"]] as const) {
        const counts = this.shown.get(id) ?? { UPSTREAM: 0, DOWNSTREAM: 0 };
        counts[side]++;
        this.shown.set(id, counts);
      }
    }
  }

  private merge({ nodes, edges }: Pick<Lineage, "nodes" | "edges">): void {
    for (const node of nodes) this.nodes.set(node.id, node);
    for (const edge of edges) {
      if (!this.nodes.has(edge.from) || !this.nodes.has(edge.to)) continue;
      const name = `${edge.from} ${edge.kind} ${edge.to}`;
      const closesCycle = edge.closesCycle || (this.edges.get(name)?.closesCycle ?? false);
      this.edges.set(name, { ...edge, closesCycle });
    }
  }
}

function opening({ node, side, limit }: Step, view: View): Walk {
  return { from: [node], direction: side, maxDepth: 1, perNodeLimit: limit, maxNodes: 1000, ...through(view) };
}

function through(view: View): Pick<Walk, "through"> {
  return view.kinds.length ? { through: view.kinds } : {};
}

function key(cut: Frontier): string {
  return [cut.node, cut.direction, cut.kind, cut.type].join(" ");
}

function groups(cuts: Cut[]): Map<Walk, Cut[]> {
  const found = new Map<Walk, Cut[]>();
  for (const cut of cuts) found.set(cut.walk, [...(found.get(cut.walk) ?? []), cut]);
  return found;
}
