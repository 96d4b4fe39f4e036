/** A plot over time by uPlot; its figures in words for those who do not see it. */

import { useEffect, useRef } from "preact/hooks";
import uPlot from "uplot";
import "uplot/dist/uPlot.min.css";
import { figure, local, number, unitName } from "./format";
import { aligned, type PlotData } from "./plots";

const HEIGHT = 170;
const TONES = ["--info", "--loop", "--good-ink", "--busy", "--severe"];

/** A time below an axis: the day, or the hour where an axis is of two days or less. */
function day(at: number, ticks: number[]): string {
  const hours = ticks.at(-1)! - ticks[0]! <= 2 * 86_400;
  return new Date(at * 1000).toLocaleString("en-GB", hours ? { hour: "2-digit", minute: "2-digit" } : { day: "numeric", month: "short" });
}

export default function Plot({ title, unit, series }: PlotData) {
  const pane = useRef<HTMLDivElement>(null);
  const once = aligned(series)[0].length < 2; // a point is no line: it is told
  useEffect(() => {
    if (once) return;
    const box = pane.current!;
    let plot: uPlot | undefined;
    const draw = () => {
      plot?.destroy();
      const style = getComputedStyle(document.documentElement);
      const colour = (name: string) => style.getPropertyValue(name).trim();
      const axis = { stroke: colour("--dim"), grid: { stroke: colour("--line"), width: 1 }, ticks: { stroke: colour("--line") }, font: "11px system-ui" };
      const told = (value: number | null) => (value === null || value === undefined ? "–" : number(Number(value.toPrecision(5))) + unitName(unit, " "));
      plot = new uPlot(
        {
          width: Math.max(180, box.clientWidth),
          height: HEIGHT,
          cursor: { y: false },
          axes: [{ ...axis, values: (_plot, ticks) => ticks.map((tick) => day(tick, ticks)) }, { ...axis, size: 52, values: (_plot, ticks) => ticks.map((tick) => number(tick)) }],
          series: [
            { value: (_plot, at) => (at ? new Date(at * 1000).toLocaleString("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" }) : "–") },
            ...series.map(({ name, points }, at) => ({
              label: name,
              stroke: colour(TONES[at]!),
              width: 1.7,
              spanGaps: true,
              points: { show: points.length < 30, size: 5 },
              value: (_plot: uPlot, value: number | null) => told(value),
            })),
          ],
        },
        aligned(series) as uPlot.AlignedData,
        box,
      );
      box.querySelector("canvas")?.setAttribute("aria-hidden", "true");
    };
    draw();
    const sized = new ResizeObserver(() => plot?.setSize({ width: Math.max(180, box.clientWidth), height: HEIGHT }));
    sized.observe(box);
    const schemed = new MutationObserver(draw); // the other colours
    schemed.observe(document.documentElement, { attributes: true, attributeFilter: ["data-scheme"] });
    return () => {
      sized.disconnect();
      schemed.disconnect();
      plot?.destroy();
    };
  }, [series]);
  const said = series.map(({ name, points }) => {
    const values = points.map(([, value]) => value);
    const [least, most, last] = [Math.min(...values), Math.max(...values), values.at(-1)!].map((value) => figure(value) + unitName(unit, " "));
    return `${name} from ${least} to ${most}, ${last} last`;
  });
  if (once) {
    const at = local(new Date(series[0]!.points[0]![0]).toISOString());
    return <p class="dim">{title}, once measured ({at}): {series.map(({ name, points }) => `${name} ${figure(points[0]![1])}${unitName(unit, " ")}`).join(", ")}.</p>;
  }
  return (
    <figure class="plot">
      <figcaption>{title}{unitName(unit, " (", ")")}<span class="spoken">: {said.join("; ")}</span></figcaption>
      <div ref={pane} aria-hidden="true" />
    </figure>
  );
}
