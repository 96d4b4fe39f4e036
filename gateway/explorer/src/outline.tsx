/**
 * The view in words: a tree for those who do not see the drawing. Each node has one place, below the nearest node that
 * it was reached from; `Graph.outline` says which. Keys and roles are those of the ARIA tree pattern.
 */

import { useRef, useState } from "preact/hooks";
import type { Side } from "./api";
import { unseen } from "./cards";
import { dated } from "./format";
import type { Graph, Line } from "./graph";
import { standing, toneOf, typeName } from "./tones";

interface Props {
  graph: Graph;
  starts: string[];
  selected: string | null;
  /** The nodes that a filter does not choose. */
  faded: ReadonlySet<string>;
  onSelect(id: string): void;
  onOpen(id: string, sides: Side[]): void;
}

export function Outline({ graph, starts, selected, faded, onSelect, onOpen }: Props) {
  const tree = useRef<HTMLUListElement>(null);
  const [closed, setClosed] = useState<ReadonlySet<string>>(new Set());
  const [roving, setRoving] = useState<string | null>(null);
  const lines = visible(graph.outline(starts), closed);
  const current = lines.some(({ id }) => id === (roving ?? selected)) ? (roving ?? selected) : lines[0]?.id;

  function focus(line: Line | undefined) {
    if (!line) return;
    setRoving(line.id);
    tree.current!.querySelector<HTMLElement>(`[data-line="${CSS.escape(line.id)}"]`)?.focus();
  }
  function close(id: string, on: boolean) {
    const next = new Set(closed);
    if (on) next.add(id);
    else next.delete(id);
    setClosed(next);
  }
  function pressed(event: KeyboardEvent) {
    const at = lines.findIndex(({ id }) => id === current);
    const line = lines[at];
    if (!line) return;
    const { id, children } = line;
    if (event.key === "ArrowDown") focus(lines[at + 1]);
    else if (event.key === "ArrowUp") focus(lines[at - 1]);
    else if (event.key === "Home") focus(lines[0]);
    else if (event.key === "End") focus(lines.at(-1));
    else if (event.key === "Enter" || event.key === " ") onSelect(id);
    else if (event.shiftKey && (event.key === "ArrowLeft" || event.key === "ArrowRight"))
      onOpen(id, graph.closedSides(id, event.key === "ArrowLeft" ? "UPSTREAM" : "DOWNSTREAM"));
    else if (event.key === "ArrowRight" && closed.has(id)) close(id, false);
    else if (event.key === "ArrowRight" && children) focus(lines[at + 1]);
    else if (event.key === "ArrowRight") onOpen(id, graph.closedSides(id));
    else if (event.key === "ArrowLeft" && children && !closed.has(id)) close(id, true);
    else if (event.key === "ArrowLeft") focus(lines.find((other) => other.id === line.parent));
    else return;
    event.preventDefault();
  }

  return (
    <section aria-label="Nodes of the view" class="list">
      <p class="dim" id="tree-keys">Up and down move, right opens or reads what is not shown, left closes, Enter selects. Shift with left or right reads one side.</p>
      <ul ref={tree} role="tree" aria-label="Lineage" aria-describedby="tree-keys" onKeyDown={pressed}>
        {lines.map((line) => {
          const node = graph.nodes.get(line.id)!;
          const hidden = graph.hidden(node);
          const more = hidden.UPSTREAM + hidden.DOWNSTREAM > 0;
          return (
            <li
              key={line.id}
              data-line={line.id}
              role="treeitem"
              aria-level={line.level}
              aria-posinset={line.place}
              aria-setsize={line.among}
              aria-expanded={line.children ? !closed.has(line.id) : more ? false : undefined}
              aria-selected={line.id === selected}
              tabIndex={line.id === current ? 0 : -1}
              class={faded.has(node.id) ? "line faded" : `line tone-${toneOf(node)}`}
              style={{ marginLeft: `${Math.min(line.level - 1, 12) * 14}px` }}
              onFocus={() => setRoving(line.id)}
              onClick={() => onSelect(line.id)}
            >
              {line.lead && <small>{line.lead}<span class="spoken">: </span></small>}
              {dated(node.label)}
              <small>
                {[typeName(node.type), standing(node)].filter(Boolean).join(", ")}{closed.has(line.id) ? ", closed" : ""}{faded.has(node.id) && <span class="spoken">, not chosen</span>}
                <span class="spoken">{more && `, ${unseen(hidden.UPSTREAM, hidden.DOWNSTREAM)}`}</span>
              </small>
            </li>
          );
        })}
      </ul>
    </section>
  );
}

/** The lines that are not below a closed one. */
function visible(lines: Line[], closed: ReadonlySet<string>): Line[] {
  let below = Infinity;
  return lines.filter(({ id, level }) => {
    if (level > below) return false;
    below = closed.has(id) ? level : Infinity;
    return true;
  });
}
