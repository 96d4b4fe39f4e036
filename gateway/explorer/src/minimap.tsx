/** The whole drawing, small, with a frame around what is in sight. The frame moves apart from the map, which is drawn once. */

import { useImperativeHandle, useMemo, useRef } from "preact/hooks";
import type { RefObject } from "preact";
import type { LineageNode } from "./api";
import { bounds, HEIGHT, WIDTH, type Box, type Place, type Places } from "./layout";
import { toneOf } from "./tones";

const SIZE = { width: 190, height: 130 };

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
    const { style } = frame.current!;
    style.transform = `translate(${left + (sight.x - box.x) * scale}px, ${top + (sight.y - box.y) * scale}px)`;
    style.width = `${sight.width * scale}px`;
    style.height = `${sight.height * scale}px`;
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
      <div ref={frame} class="lens" />
    </div>
  );
}
