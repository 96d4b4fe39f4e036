/** The answer as a table, a file and bars, beside the JSON. Ids lead to the console; units stand beside numbers. */

import { pick, useGraphiQL, type GraphiQLPlugin } from "@graphiql/react";
import { parse as parseOperation } from "graphql";
import { useEffect, useMemo, useState } from "react";
import { asCsv, type CellValue } from "../../explorer/src/csv";
import { json, parse, unitName } from "../../explorer/src/format";
import { unitsOf } from "./units";

type Line = Record<string, unknown>;
export interface Listed {
  path: string;
  rows: Line[];
}

/** Every list of objects in an answer, the longest first. */
export function lists(value: unknown, path = ""): Listed[] {
  if (typeof value !== "object" || value === null) return [];
  if (Array.isArray(value)) {
    const rows = value.filter((one): one is Line => typeof one === "object" && one !== null && !Array.isArray(one));
    return [...(rows.length ? [{ path, rows }] : []), ...rows.flatMap((row, at) => lists(row, `${path}[${at}]`))].sort((a, b) => b.rows.length - a.rows.length);
  }
  return Object.entries(value).flatMap(([name, one]) => lists(one, path ? `${path}.${name}` : name)).sort((a, b) => b.rows.length - a.rows.length);
}

/** A row with what it holds of objects under names of its own: `experiment.brand`. Lists in it are left to themselves. */
export function flat(row: Line, before = ""): Record<string, CellValue> {
  const found: Record<string, CellValue> = {};
  for (const [name, value] of Object.entries(row)) {
    if (typeof value === "object" && value !== null && !Array.isArray(value)) Object.assign(found, flat(value as Line, `${before}${name}.`));
    else if (!Array.isArray(value)) found[before + name] = value as CellValue;
    else if (value.every((one) => typeof one !== "object")) found[before + name] = value.join(", ");
  }
  return found;
}

/** What is shown of a table at once. */
const SHOWN = 200;
const ID = /^[A-Z][A-Za-z0-9]+:\S+$/;

/** Units by type and field, as the graph's `columnFacts` tell them. Raises where it does not. */
export type Facts = () => Promise<ReadonlyMap<string, string>>;

function useUnits(operation: string, facts: Facts): (list: string, column: string) => string {
  const { schema } = useGraphiQL(pick("schema"));
  const [known, setKnown] = useState<ReadonlyMap<string, string>>(new Map());
  useEffect(() => void facts().then(setKnown, () => undefined), []); // without them numbers have no unit
  return useMemo(() => {
    try {
      if (schema) return unitsOf(schema, parseOperation(operation).definitions, known);
    } catch {
      // an operation that is being edited
    }
    return () => "";
  }, [schema, operation, known]);
}

function Results({ facts }: { facts: Facts }) {
  const { queryEditor, responseEditor } = useGraphiQL(pick("queryEditor", "responseEditor"));
  const [{ text, operation }, setShown] = useState({ text: "", operation: "" });
  const unit = useUnits(operation, facts);
  const [chosen, setChosen] = useState("");
  const [bars, setBars] = useState("");
  useEffect(() => {
    if (!responseEditor) return;
    const show = () => setShown({ text: responseEditor.getValue(), operation: queryEditor?.getValue() ?? "" });
    show();
    const watching = responseEditor.onDidChangeModelContent(show);
    return () => watching.dispose();
  }, [queryEditor, responseEditor]);
  let all: Listed[] = [];
  try {
    all = lists((parse(text) as { data?: unknown } | null)?.data);
  } catch {
    // no answer yet, or none that is JSON
  }
  const list = all.find(({ path }) => path === chosen) ?? all[0];
  if (!list) return <section className="results" aria-label="Result"><h2>Result</h2><p>Run an operation that answers a list: its rows stand here.</p></section>;
  const rows = list.rows.map((row) => flat(row));
  const columns = [...new Set(rows.flatMap((row) => Object.keys(row)))];
  const numeric = columns.filter((column) => rows.some((row) => /number|bigint/.test(typeof row[column])));
  const name = columns.find((column) => rows.every((row) => typeof row[column] === "string" && !ID.test(row[column]))) ?? columns[0]!;
  const most = Math.max(...rows.map((row) => Math.abs(Number(row[bars] ?? 0))), Number.MIN_VALUE);
  const save = () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([asCsv(columns, rows.map((row) => columns.map((column) => row[column])))], { type: "text/csv" }));
    link.download = `${list.path.replace(/\W+/g, "-")}.csv`;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
  };
  const sign = (column: string) => unitName(unit(list.path, column), " ");
  const told = (value: CellValue) => (value === null || value === undefined ? "" : typeof value === "object" ? json(value) : String(value));
  return (
    <section className="results" aria-label="Result">
      <h2>Result</h2>
      <p>
        <label>List <select value={list.path} onChange={(event) => setChosen(event.currentTarget.value)}>
          {all.slice(0, 50).map(({ path, rows: { length } }) => <option key={path} value={path}>{path} ({length})</option>)}
        </select></label>{" "}
        <button type="button" onClick={save}>CSV</button>{" "}
        {numeric.length > 0 && (
          <label>Chart <select value={bars} onChange={(event) => setBars(event.currentTarget.value)}>
            <option value="">none</option>
            {numeric.map((column) => <option key={column}>{column}</option>)}
          </select></label>
        )}
      </p>
      {numeric.includes(bars) ? (
        <ol className="bars">
          {rows.slice(0, SHOWN).map((row, at) => (
            <li key={at}>
              <span>{told(row[name])}</span>
              {row[bars] == null ? <span /> : <meter min={0} max={most} value={Math.abs(Number(row[bars]))} aria-label={told(row[name])} />}
              <span>{row[bars] == null ? <small>no value</small> : <>{told(row[bars])}<small>{sign(bars)}</small></>}</span>
            </li>
          ))}
        </ol>
      ) : (
        <div className="scroll" tabIndex={0} role="region" aria-label="Rows">
          <table>
            <thead><tr>{columns.map((column) => <th key={column} scope="col">{column}<small>{sign(column)}</small></th>)}</tr></thead>
            <tbody>
              {rows.slice(0, SHOWN).map((row, at) => (
                <tr key={at}>
                  {columns.map((column) => {
                    const value = row[column];
                    const id = typeof value === "string" && /(^|\.)(id|nodeId)$/.test(column) && ID.test(value) ? value : null;
                    return <td key={column} className={/number|bigint/.test(typeof value) ? "figure" : undefined}>{id ? <a href={`explorer#from=${encodeURIComponent(id)}&select=${encodeURIComponent(id)}`} title={id}>{id}</a> : told(value)}</td>;
                  })}
                </tr>
              ))}
            </tbody>
          </table>
        </div>
      )}
      {rows.length > SHOWN && <p>{SHOWN} of {rows.length} rows are shown; the file has all.</p>}
    </section>
  );
}

function TableIcon() {
  return (
    <svg viewBox="0 0 14 14" fill="none" stroke="currentColor" strokeWidth="1.3" aria-hidden="true">
      <path d="M1 2h12v10H1zM1 5.5h12M1 9h12M5 2v10" />
    </svg>
  );
}

export function resultsPlugin(facts: Facts): GraphiQLPlugin {
  return { title: "Result as a table", icon: TableIcon, content: () => <Results facts={facts} /> };
}
