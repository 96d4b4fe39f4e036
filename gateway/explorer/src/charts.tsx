/** Small plots as SVG. Each has its figures in words for those who do not see it. */

import type { Tone } from "./tones";

const DAY = 86_400_000;

/** The days from one to another, both included, as they are written in dates. */
export function days(from: string, to: string): string[] {
  const found = [];
  for (let at = Date.parse(from.slice(0, 10)); at <= Date.parse(to.slice(0, 10)); at += DAY) {
    found.push(new Date(at).toISOString().slice(0, 10));
  }
  return found;
}

/** A day as it stands below an axis: 28 Nov. */
function short(day: string): string {
  return new Date(day).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });
}

interface SparkProps {
  /** A value for each of the days, null where there is none. */
  values: (number | null)[];
  /** What full height stands for. */
  most: number;
  label: string;
}

/** A line through the days that have a value, with a dot on the last. */
export function Spark({ values, most, label }: SparkProps) {
  const [width, height, edge] = [96, 26, 3];
  const points = values.flatMap((value, at) => {
    if (value === null) return [];
    const x = edge + (at / Math.max(1, values.length - 1)) * (width - 2 * edge);
    return [[x, height - edge - (Math.min(value, most) / most) * (height - 2 * edge)] as const];
  });
  const last = points.at(-1);
  if (!last) return <span class="dim">no readings</span>;
  return (
    <svg class="spark" viewBox={`0 0 ${width} ${height}`} width={width} height={height} role="img" aria-label={label}>
      <title>{label}</title>
      <path d={`M${points.map((point) => point.map((one) => one.toFixed(1)).join(" ")).join("L")}`} />
      <circle cx={last[0]} cy={last[1]} r="2.5" />
    </svg>
  );
}

export interface Part {
  name: string;
  count: number;
  tone: Tone | "mild" | "severe";
}

/** One bar of parts. */
export function Stack({ parts, label }: { parts: Part[]; label: string }) {
  const whole = parts.reduce((sum, part) => sum + part.count, 0);
  let x = 0;
  return (
    <svg class="stack" viewBox="0 0 100 8" preserveAspectRatio="none" role="img" aria-label={label}>
      <title>{label}</title>
      {parts.map((part) => {
        const width = whole ? (part.count / whole) * 100 : 0;
        const bar = <rect key={part.name} class={`fill-${part.tone}`} x={x} y="0" width={width} height="8" />;
        x += width;
        return bar;
      })}
    </svg>
  );
}

/** A column for each day, of parts from the bottom up. The axis begins at nought. */
export function Columns({ columns, label }: { columns: { name: string; parts: Part[] }[]; label: string }) {
  const [width, height, foot] = [560, 150, 18];
  const most = Math.max(1, ...columns.map(({ parts }) => parts.reduce((sum, part) => sum + part.count, 0)));
  const step = (width - 30) / Math.max(1, columns.length);
  return (
    <svg class="columns" viewBox={`0 0 ${width} ${height}`} role="img" aria-label={label}>
      <title>{label}</title>
      <text x="24" y="12" class="axis" text-anchor="end">{most}</text>
      <text x="24" y={height - foot} class="axis" text-anchor="end">0</text>
      <line x1="28" x2={width} y1={height - foot} y2={height - foot} class="ground" />
      {columns.map(({ name, parts }, at) => {
        let y = height - foot;
        const x = 30 + at * step;
        return (
          <g key={name}>
            <title>{`${name}: ${parts.filter(({ count }) => count).map((part) => `${part.count} ${part.name}`).join(", ") || "none"}`}</title>
            <rect x={x} y="0" width={step} height={height - foot} fill="transparent" />
            {parts.map((part) => {
              const tall = (part.count / most) * (height - foot - 6);
              y -= tall;
              return <rect key={part.name} class={`fill-${part.tone}`} x={x + step * 0.15} y={y} width={step * 0.7} height={tall} />;
            })}
            {(columns.length - 1 - at) % 2 === 0 && <text x={x + step / 2} y={height - 5} class="axis" text-anchor="middle">{short(name)}</text>}
          </g>
        );
      })}
    </svg>
  );
}
