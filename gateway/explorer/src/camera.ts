/**
 * What part of the drawing is in sight: pan and zoom by d3-zoom, as one transform of one element.
 *
 * The element is HTML around the SVG, so that nothing in it is laid out anew. That of a dense view is a layer of its own:
 * while it moves the browser draws nothing, but moves and stretches the picture that it has. Once it rests it is drawn
 * anew at the scale that it has then, by a second element inside the first.
 */

import { select } from "d3-selection";
import { zoom, zoomIdentity, zoomTransform, type D3ZoomEvent, type ZoomBehavior } from "d3-zoom";
import type { Box, Place } from "./layout";

/** Below this scale text cannot be read and is not drawn. */
const FAR = 0.38;
/** A node that is shown stands at this scale at least: its smallest text is 11 px high then. */
const READABLE = 0.92;
/** What lies over the edges of the window (the state of the answer, the zoom's buttons, the legend), in pixels. */
const FRAME = { left: 12, top: 62, right: 54, bottom: 56 };
/**
 * Before the stretch of a layer. Chromium draws a layer anew at each scale above its own, in every frame of a zoom; one in
 * perspective keeps the picture that it has. From this far away nothing looks different.
 */
const KEPT = "perspective(1e6px) ";
/** How near to the edge of the window a node may stand, in pixels. */
const MARGIN = { x: 130, y: 40 };

/** The middle of a window, as near to a point as it can be without showing what is beyond the ends; of all, if all fits. */
export function within(at: number, from: number, to: number, window: number): number {
  if (to - from <= window) return (from + to) / 2;
  return Math.min(Math.max(at, from + window / 2), to - window / 2);
}

export class Camera {
  private readonly behaviour: ZoomBehavior<HTMLElement, unknown>;
  private readonly watching: ResizeObserver;
  private width = 1;
  private height = 1;
  /** Movements under way: a drag may begin while the turning of a wheel still counts as one. */
  private moving = 0;
  /** The scale at which the picture was drawn, and by how much it was moved then, since layers lie on whole pixels. */
  private drawn = { k: 1, x: 0, y: 0 };

  /** `moved` is told what is in sight, in the coordinates of the drawing. */
  constructor(
    private readonly pane: HTMLElement,
    private readonly scene: HTMLElement,
    private readonly sheet: HTMLElement,
    private readonly moved: (sight: Box) => void,
  ) {
    this.behaviour = zoom<HTMLElement, unknown>()
      .scaleExtent([0.02, 2.5])
      .extent(() => [[0, 0], [this.width, this.height]])
      .on("start", () => void this.moving++)
      .on("zoom", (event: D3ZoomEvent<HTMLElement, unknown>) => this.apply(event))
      .on("end", () => this.rest());
    select(pane).call(this.behaviour).on("dblclick.zoom", null);
    this.watching = new ResizeObserver(() => this.measure());
    this.watching.observe(pane);
    this.measure();
  }

  close(): void {
    this.watching.disconnect();
    select(this.pane).on(".zoom", null);
  }

  /** Shows all of a box, however small that makes it. */
  fit(box: Box): void {
    const width = Math.max(100, this.width - FRAME.left - FRAME.right);
    const height = Math.max(100, this.height - FRAME.top - FRAME.bottom);
    const scale = Math.min(1.1, width / box.width, height / box.height);
    const aside = { x: (FRAME.right - FRAME.left) / 2 / scale, y: (FRAME.bottom - FRAME.top) / 2 / scale };
    this.centre({ x: box.x + box.width / 2 + aside.x, y: box.y + box.height / 2 + aside.y }, scale);
  }

  /** Shows all of a box if its text can be read then; otherwise as much of it as can be read around a point of it. */
  open(box: Box, at: Place): void {
    this.fit(box);
    if (zoomTransform(this.pane).k >= READABLE) return;
    const sight = { width: this.width / READABLE, height: this.height / READABLE };
    const frame = { left: FRAME.left / READABLE, right: FRAME.right / READABLE, top: FRAME.top / READABLE, bottom: FRAME.bottom / READABLE };
    this.centre(
      {
        x: within(at.x, box.x - frame.left, box.x + box.width + frame.right, sight.width),
        y: within(at.y, box.y - frame.top, box.y + box.height + frame.bottom, sight.height),
      },
      READABLE,
    );
  }

  zoomBy(factor: number): void {
    select(this.pane).call(this.behaviour.scaleBy, factor);
  }

  /** Puts a point into the middle of the window, at the present scale unless said. */
  centre({ x, y }: Place, scale = zoomTransform(this.pane).k): void {
    const there = zoomIdentity.translate(this.width / 2 - x * scale, this.height / 2 - y * scale).scale(scale);
    select(this.pane).call(this.behaviour.transform, there);
  }

  /** Moves no further than it takes to read what stands at a point. */
  show(at: Place): void {
    const now = zoomTransform(this.pane);
    const [left, top] = now.apply([at.x, at.y]);
    const inside = left >= MARGIN.x && top >= MARGIN.y && left <= this.width - MARGIN.x && top <= this.height - MARGIN.y;
    if (!inside || now.k < READABLE) this.centre(at, Math.max(now.k, READABLE));
  }

  /** Tells again what is in sight. */
  look(): void {
    const { x, y, k } = zoomTransform(this.pane);
    this.moved({ x: -x / k, y: -y / k, width: this.width / k, height: this.height / k });
  }

  private measure(): void {
    const { width, height } = this.pane.getBoundingClientRect();
    [this.width, this.height] = [width, height];
    this.look();
  }

  private apply({ transform: { x, y, k } }: D3ZoomEvent<HTMLElement, unknown>): void {
    const { drawn, scene } = this;
    const by = k / drawn.k;
    const layer = by !== 1 && this.pane.classList.contains("many");
    scene.style.transform = `${layer ? KEPT : ""}translate(${x - drawn.x * by}px, ${y - drawn.y * by}px) scale(${by})`;
    this.look();
  }

  private rest(): void {
    if (--this.moving) return;
    const { x, y, k } = zoomTransform(this.pane);
    if (k === this.drawn.k) return;
    const [left, top] = [Math.floor(x), Math.floor(y)];
    this.drawn = { k, x: x - left, y: y - top };
    this.sheet.style.transform = `translate(${x - left}px, ${y - top}px) scale(${k})`;
    this.scene.style.transform = `translate(${left}px, ${top}px)`;
    this.scene.classList.toggle("far", k < FAR);
  }
}
