/** The whole drawing, small, with a frame around what is in sight. The frame moves apart from the map, which is drawn once. */

import { useImperativeHandle, useMemo, useRef } from "preact/hooks";
import type { RefObject } from "preact";
import type { LineageNode } from "./api";
import { bounds, HEIGHT, WIDTH, type Box, type Place, type Places } from "./layout";
import { toneOf } from "./tones";

const SIZE = { width: 190, height: 130 };
/** How thick the frame is, in pixels. */
const LINE = 1.5;

interface Props {
  nodes: LineageNode[];
  places: Places;
  /** Takes what is in sight. */
  lens: RefObject<((sight: Box) => void) | null>;
  onMove(to: Place): void;
}

export function Minimap({ nodes, places, lens, onMove }: Props) {
  const frame = useRef<HTMLDivElement>(null);
  const map = useRef<HTMLDivElement>(null);
  const box = useMemo(() => bounds(places), [places]);
  const scale = Math.min(SIZE.width / box.width, SIZE.height / box.height);
  const left = (SIZE.width - box.width * scale) / 2;
  const top = (SIZE.height - box.height * scale) / 2;
  useImperativeHandle(lens, () => (sight) => {
    const around = sight.x <= box.x && sight.y <= box.y && sight.x + sight.width >= box.x + box.width && sight.y + sight.height >= box.y + box.height;
    map.current!.hidden = around; // a map of what is in sight anyway would only cover it
    // a point for the area and for each of its sides, stretched: the browser lays out and paints nothing anew
    const [x, y, width, height] = [left + (sight.x - box.x) * scale, top + (sight.y - box.y) * scale, sight.width * scale, sight.height * scale];
    const parts = [[x, y, width, height], [x, y, width, LINE], [x, y + height - LINE, width, LINE], [x, y, LINE, height], [x + width - LINE, y, LINE, height]];
    for (const [at, [x, y, width, height]] of parts.entries()) {
      (frame.current!.children[at] as HTMLElement).style.transform = `translate(${x}px, ${y}px) scale(${width}, ${height})`;
    }
  }, [box]);
  function moved(event: PointerEvent) {
    if (!event.buttons) return;
    map.current!.setPointerCapture(event.pointerId);
    const at = map.current!.getBoundingClientRect();
    onMove({ x: box.x + (event.clientX - at.left - left) / scale, y: box.y + (event.clientY - at.top - top) / scale });
  }
  const dots = useMemo(() => {
    const least = 2.5 / scale; // what is smaller cannot be seen
    const [width, height] = [Math.max(WIDTH, least), Math.max(HEIGHT, least)];
    return nodes.map((node) => {
      const { id } = node;
      const { x, y } = places.get(id)!;
      return <rect key={id} class={`tone-${toneOf(node)}`} x={x - width / 2} y={y - height / 2} width={width} height={height} />;
    });
  }, [nodes, places]);
  return (
    <div ref={map} class="minimap" aria-hidden="true" onPointerDown={moved} onPointerMove={moved}>
      <svg viewBox={`${box.x} ${box.y} ${box.width} ${box.height}`}>{dots}</svg>
      <div ref={frame} class="frame"><i class="lens" /><i /><i /><i /><i /></div>
    </div>
  );
}
