/** Lists of rows: what may be filtered and sorted, how a link holds it, and what is asked of the API for it. */

import type { CellValue } from "./csv";

export type Where = Record<string, unknown>;
export type PageOfRows<Row> = { totalCount: number; totalCountIsExact: boolean; pageInfo: { hasNextPage: boolean; endCursor: string | null }; nodes: Row[] };

export interface Column<Row> {
  name: string;
  label: string;
  /** The field by which the API sorts, where it does. */
  field?: string;
  /** As `@fact` says it. */
  unit?: string;
  /** What a file holds, and the cell unless `cell` says otherwise. */
  value(row: Row): CellValue;
}
export interface Filter {
  name: string;
  label: string;
  values: string[];
  where(values: string[]): Where;
}
export interface Listed {
  q: string;
  filters: Record<string, string[]>;
  /** The column's name; with a minus before it, from the largest. */
  sort: string;
}
/** What a list's link and request need to know of it. */
export interface Shape {
  columns: Pick<Column<never>, "name" | "field">[];
  filters: Filter[];
  sort: string;
  find(text: string): Where;
}

/** What a link asks for; of filters and columns that are not known here (an older link, say) nothing is kept. */
export function readListed(hash: string, { columns, filters, sort }: Shape): Listed {
  const parameters = new URLSearchParams(hash.replace(/^#/, ""));
  const wanted = parameters.get("sort") ?? "";
  const sortable = columns.some(({ name, field }) => field && name === wanted.replace(/^-/, ""));
  const chosen = filters.map(({ name, values }) => {
    const all = (parameters.get(name) ?? "").split(",");
    return [name, values.filter((value) => all.includes(value))] as const;
  });
  return {
    q: (parameters.get("q") ?? "").slice(0, 200),
    filters: Object.fromEntries(chosen.filter(([, values]) => values.length)),
    sort: sortable ? wanted : sort,
  };
}

export function writeListed({ q, filters, sort }: Listed, shape: Shape, title = ""): string {
  const parameters = new URLSearchParams();
  if (q) parameters.set("q", q);
  for (const { name } of shape.filters) if (filters[name]?.length) parameters.set(name, filters[name].join(","));
  if (sort !== shape.sort) parameters.set("sort", sort);
  if (title) parameters.set("title", title);
  return `#${parameters.toString().replaceAll("%2C", ",")}`;
}

/** The variables of a list's document. */
export function asked({ q, filters, sort }: Listed, shape: Shape): { where: Where; orderBy: { field: string; direction: string }[] } {
  const parts = shape.filters.flatMap(({ name, where }) => (filters[name]?.length ? [where(filters[name])] : []));
  if (q.trim()) parts.push(shape.find(q.trim()));
  const column = shape.columns.find(({ name }) => name === sort.replace(/^-/, ""));
  return {
    where: parts.length ? { and: parts } : {},
    orderBy: column?.field ? [{ field: column.field, direction: sort.startsWith("-") ? "DESC" : "ASC" }] : [],
  };
}
