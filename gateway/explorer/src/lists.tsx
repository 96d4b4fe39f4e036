/** Alerts, models, experiments, twins and deployments as tables: filtered, sorted, followed live, saved, and as files. */

import type { ComponentChildren } from "preact";
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Moves, Offer, Row } from "./act";
import { followAddress } from "./address";
import { ApiError, ask } from "./api";
import { Token } from "./controls";
import { asCsv, download } from "./csv";
import { counted, unitName, type Counted } from "./format";
import {
  LIST_ALERTS, LIST_DEPLOYMENTS, LIST_EXPERIMENTS, LIST_MODELS, LIST_TWINS,
  type ListAlertsQuery, type ListDeploymentsQuery, type ListExperimentsQuery, type ListModelsQuery, type ListTwinsQuery, type Operation,
} from "./generated/operations";
import "./lists.css";
import { asked, readListed, writeListed, type Column, type Filter, type Listed, type PageOfRows, type Where } from "./listing";
import { ALERTS, CHANGES, follow } from "./live";
import { Offers } from "./offers";
import type { ListName } from "./pages";
import { titleOf } from "./saved";
import { Search } from "./search";
import { onToken } from "./session";
import { Sheet } from "./sheet";
import { Bar, lineageOf, State, Time, Views } from "./shell";
import { severityTone, words } from "./tones";
import { judgement } from "./verdict";
import { UnitValue } from "./units";

type RowOf<Query> = Query extends { rows: { nodes: (infer One)[] } | null } ? One : never;
interface Shown<One> extends Column<One> {
  cell?(row: One): ComponentChildren;
  /** Whether it is a column of files alone: another cell shows it. */
  within?: true;
}
interface List<One extends { id: string }> {
  title: string;
  noun: string;
  type: string;
  document: Operation<{ rows: PageOfRows<One> | null }>;
  columns: Shown<One>[];
  filters: Filter[];
  sort: string;
  find(text: string): Where;
  /** What may be done with a row here. */
  acts?(row: One): { row: Row; moves: Moves } | null;
}

const anyOf = (field: string) => (values: string[]): Where => ({ [field]: { in: values } });
const like = (...fields: string[]) => (text: string): Where => ({ or: fields.map((field) => ({ [field]: { iContains: text } })) });
const yes = (field: string) => (values: string[]): Where => (values.length === 1 ? { [field]: { eq: values[0] === "yes" } } : {});
/** A long name is cut after three lines; a pointer over it shows it whole. */
const link = (row: { id: string } | null | undefined, name: string | null | undefined) => (row ? <a class="name" href={lineageOf(row.id)} title={name ?? undefined}>{name}</a> : null);
const state = (type?: string) => (value: string | null | undefined) => (value ? <State state={value} type={type} /> : null);
const time = (value: string | null | undefined) => (value ? <Time at={value} /> : null);

type Alert = RowOf<ListAlertsQuery>;
type Model = RowOf<ListModelsQuery>;
type Experiment = RowOf<ListExperimentsQuery>;
type Twin = RowOf<ListTwinsQuery>;
type Deployment = RowOf<ListDeploymentsQuery>;

const named = (model: { modelName: string | null; modelVersion: string | null } | null) => (model ? `${model.modelName ?? ""} ${model.modelVersion ?? ""}`.trim() : null);
/** A deployment with more errors than this is passed over by a rollback. */
const HIGH_ERROR_RATE = 0.01;
/** Of services, the worst first. */
const SERVICE_HEALTHS = ["unhealthy", "unavailable", "degraded", "stopped", "starting", "unknown", "healthy"];
const worst = ({ services }: Deployment) => SERVICE_HEALTHS.find((health) => services?.nodes.some(({ healthStatus }) => healthStatus?.toLowerCase() === health));
const judged = ({ fidelityHistory }: Twin) => judgement((fidelityHistory?.aggregate ?? []).map(({ group, count }) => ({ grade: group.effectGrade, count })));
const BRANDS = ["REMIBRUTINIB", "FABHALTA", "KISQALI", "COMPETITOR", "OTHER"];
const HEALTHS = ["critical", "warning", "unknown", "healthy"];

const alerts: List<Alert> = {
  title: "Alerts", noun: "alert", type: "MonitoringAlert", document: LIST_ALERTS, sort: "-created",
  columns: [
    { name: "title", label: "Alert", field: "TITLE", value: (row) => row.title, cell: (row) => link(row, row.title ?? row.id) },
    { name: "severity", label: "Severity", field: "SEVERITY", value: (row) => row.severity, cell: (row) => row.severity && <span class={`state tone-${severityTone(row.severity)}`}>{words(row.severity)}</span> },
    { name: "status", label: "Status", field: "STATUS", value: (row) => row.status, cell: (row) => state("MonitoringAlert")(row.status) },
    { name: "model", label: "Model", value: (row) => named(row.model), cell: (row) => link(row.model, named(row.model)) },
    { name: "drift", label: "Drift score", field: "COMPOSITE_DRIFT_SCORE", unit: "FRACTION", value: (row) => row.compositeDriftScore },
    { name: "created", label: "Raised", field: "CREATED_AT", value: (row) => row.createdAt, cell: (row) => time(row.createdAt) },
    { name: "by", label: "Taken on by", field: "ACKNOWLEDGED_BY", value: (row) => row.acknowledgedBy },
  ],
  filters: [
    { name: "status", label: "Status", values: ["ACTIVE", "ACKNOWLEDGED", "INVESTIGATING", "RESOLVED", "DISMISSED"], where: anyOf("status") },
    { name: "severity", label: "Severity", values: ["CRITICAL", "HIGH", "MEDIUM", "LOW"], where: anyOf("severity") },
    { name: "kind", label: "Kind", values: ["drift", "performance", "staleness", "error"], where: anyOf("alertType") },
  ],
  find: like("title", "message"),
  acts: (row) => row.lifecycle && { row: { id: row.id, type: "MonitoringAlert", label: row.title ?? row.id }, moves: row.lifecycle },
};

const models: List<Model> = {
  title: "Models", noun: "model", type: "Model", document: LIST_MODELS, sort: "-trained",
  columns: [
    { name: "name", label: "Model", field: "MODEL_NAME", value: (row) => named(row), cell: (row) => link(row, named(row)) },
    { name: "stage", label: "Stage", field: "STAGE", value: (row) => row.stage, cell: (row) => state()(row.stage) },
    { name: "champion", label: "Champion", field: "IS_CHAMPION", value: (row) => row.isChampion, cell: (row) => (row.isChampion ? "champion" : null) },
    { name: "health", label: "Health", value: (row) => row.health?.healthStatus, cell: (row) => state()(row.health?.healthStatus) },
    { name: "alerts", label: "Open alerts", unit: "COUNT", value: (row) => row.health?.activeAlerts },
    { name: "auc", label: "AUC", field: "AUC", unit: "FRACTION", value: (row) => row.auc },
    { name: "brier", label: "Brier score", field: "BRIER_SCORE", unit: "FRACTION", value: (row) => row.brierScore },
    { name: "samples", label: "Samples", field: "TRAINING_SAMPLES", unit: "COUNT", value: (row) => row.trainingSamples },
    { name: "experiment", label: "Experiment", value: (row) => row.experiment?.experimentName, cell: (row) => link(row.experiment, row.experiment?.experimentName) },
    { name: "trained", label: "Trained", field: "TRAINED_AT", value: (row) => row.trainedAt, cell: (row) => time(row.trainedAt) },
  ],
  filters: [
    { name: "stage", label: "Stage", values: ["DEVELOPMENT", "STAGING", "SHADOW", "PRODUCTION", "ARCHIVED", "DEPRECATED"], where: anyOf("stage") },
    { name: "champion", label: "Champion", values: ["yes", "no"], where: yes("isChampion") },
    { name: "health", label: "Health", values: HEALTHS, where: (values) => ({ health: { healthStatus: { in: values } } }) },
  ],
  find: like("modelName", "modelVersion"),
};

const experiments: List<Experiment> = {
  title: "Experiments", noun: "experiment", type: "Experiment", document: LIST_EXPERIMENTS, sort: "-created",
  columns: [
    { name: "name", label: "Experiment", field: "EXPERIMENT_NAME", value: (row) => row.experimentName, cell: (row) => link(row, row.experimentName ?? row.id) },
    { name: "brand", label: "Brand", field: "BRAND", value: (row) => row.brand, cell: (row) => words(row.brand ?? "") },
    { name: "region", label: "Region", field: "REGION", value: (row) => row.region, cell: (row) => words(row.region ?? "") },
    { name: "health", label: "A/B test", value: (row) => row.health?.status, cell: (row) => state()(row.health?.status) },
    { name: "champion", label: "Champion", value: (row) => named(row.champion), cell: (row) => link(row.champion, named(row.champion)) },
    { name: "championHealth", label: "Champion's health", value: (row) => row.health?.championHealth?.healthStatus, cell: (row) => state()(row.health?.championHealth?.healthStatus) },
    { name: "enrolled", label: "Enrolled", unit: "COUNT", value: (row) => row.health?.enrollments },
    { name: "effect", label: "Effect", unit: "ROW_SCALE", value: (row) => row.health?.effectEstimate },
    { name: "p", label: "p", unit: "FRACTION", value: (row) => row.health?.effectPValue },
    { name: "grade", label: "Twin's grade", value: (row) => row.health?.fidelityGrade, cell: (row) => state()(row.health?.fidelityGrade) },
    { name: "created", label: "Created", field: "CREATED_AT", value: (row) => row.createdAt, cell: (row) => time(row.createdAt) },
  ],
  filters: [
    { name: "brand", label: "Brand", values: BRANDS, where: anyOf("brand") },
    { name: "region", label: "Region", values: ["NORTHEAST", "SOUTH", "MIDWEST", "WEST"], where: anyOf("region") },
    { name: "health", label: "A/B test", values: ["CRITICAL", "STOPPED", "WARNING", "NOT_STARTED", "HEALTHY"], where: (values) => ({ health: { status: { in: values } } }) },
  ],
  find: like("experimentName", "description"),
};

const twins: List<Twin> = {
  title: "Twins", noun: "twin", type: "TwinModel", document: LIST_TWINS, sort: "-updated",
  columns: [
    { name: "name", label: "Twin", field: "MODEL_NAME", value: (row) => named(row), cell: (row) => link(row, named(row)) },
    { name: "type", label: "Of", field: "TWIN_TYPE", value: (row) => row.twinType, cell: (row) => words(row.twinType ?? "") },
    { name: "brand", label: "Brand", field: "BRAND", value: (row) => row.brand },
    { name: "active", label: "In use", field: "IS_ACTIVE", value: (row) => row.isActive, cell: (row) => state()(row.isActive ? "active" : "inactive") },
    { name: "verdict", label: "Skip an A/B test?", value: (row) => judged(row).said, cell: (row) => <span class={`state tone-${judged(row).tone}`}>{judged(row).said}</span> },
    { name: "fidelity", label: "Fidelity", field: "FIDELITY_SCORE", unit: "FRACTION", value: (row) => row.fidelityScore },
    { name: "samples", label: "Comparisons", field: "FIDELITY_SAMPLE_COUNT", unit: "COUNT", value: (row) => row.fidelitySampleCount },
    { name: "updated", label: "Last compared", field: "LAST_FIDELITY_UPDATE", value: (row) => row.lastFidelityUpdate, cell: (row) => time(row.lastFidelityUpdate) },
    { name: "created", label: "Created", field: "CREATED_AT", value: (row) => row.createdAt, cell: (row) => time(row.createdAt) },
  ],
  filters: [
    { name: "active", label: "In use", values: ["yes", "no"], where: yes("isActive") },
    { name: "type", label: "Of", values: ["HCP", "PATIENT", "TERRITORY"], where: anyOf("twinType") },
    { name: "brand", label: "Brand", values: ["Remibrutinib", "Fabhalta", "Kisqali", "competitor", "other", "All"], where: anyOf("brand") },
  ],
  find: like("modelName", "modelDescription"),
};

const deployments: List<Deployment> = {
  title: "Deployments", noun: "deployment", type: "Deployment", document: LIST_DEPLOYMENTS, sort: "-deployed",
  columns: [
    { name: "name", label: "Deployment", field: "DEPLOYMENT_NAME", value: (row) => row.deploymentName, cell: (row) => link(row, row.deploymentName ?? row.id) },
    { name: "environment", label: "Environment", field: "ENVIRONMENT", value: (row) => row.environment },
    { name: "status", label: "Status", field: "STATUS", value: (row) => row.status, cell: (row) => state()(row.status) },
    { name: "model", label: "Model", value: (row) => named(row.model), cell: (row) => link(row.model, named(row.model)) },
    { name: "health", label: "Model's health", value: (row) => row.model?.health?.healthStatus, cell: (row) => state()(row.model?.health?.healthStatus) },
    { name: "services", label: "Services", value: (row) => worst(row), cell: (row) => state()(worst(row)) },
    { name: "p95", label: "Latency p95", unit: "MILLISECONDS", value: (row) => row.latencyP95Ms },
    { name: "errors", label: "Errors", field: "ERROR_RATE", unit: "FRACTION", value: (row) => row.errorRate, cell: (row) => <span class={(row.errorRate ?? 0) > HIGH_ERROR_RATE ? "text-bad" : undefined}><UnitValue value={row.errorRate} unit="FRACTION" bare /></span> },
    { name: "by", label: "By", field: "DEPLOYED_BY", within: true, value: (row) => row.deployedBy },
    { name: "deployed", label: "Deployed", field: "DEPLOYED_AT", value: (row) => row.deployedAt, cell: (row) => <>{time(row.deployedAt)}{row.deployedBy && <small>by {row.deployedBy}</small>}</> },
  ],
  filters: [
    { name: "environment", label: "Environment", values: ["production", "staging", "development"], where: anyOf("environment") },
    { name: "status", label: "Status", values: ["PENDING", "DEPLOYING", "ACTIVE", "DRAINING", "ROLLED_BACK", "FAILED"], where: anyOf("status") },
    { name: "health", label: "Model's health", values: HEALTHS, where: (values) => ({ model: { health: { healthStatus: { in: values } } } }) },
  ],
  find: like("deploymentName", "endpointName"),
  acts: (row) => row.lifecycle && { row: { id: row.id, type: "Deployment", label: row.deploymentName ?? row.id }, moves: row.lifecycle },
};

/** Each is of rows of its own, which the page never mixes. */
const LISTS = { alerts, models, experiments, twins, deployments } as unknown as Record<ListName, List<{ id: string }>>;

const PAGE = 50;
/** Rows of a request for a file, and of a file. */
const FILE_PAGE = 500;
const FILE_ROWS = 20_000;
/** Milliseconds. */
const TYPED = 250;
const TOGETHER = 600;

type Told = { rows: { id: string }[]; total: Counted; more: boolean; cursor: string | null; problem?: string };

export function Lists({ name }: { name: ListName }) {
  const list = LISTS[name];
  const columns = list.columns.filter(({ within }) => !within);
  const drawn = useRef(location.hash);
  const [listed, setListed] = useState<Listed>(() => readListed(drawn.current, list));
  const [title, setTitle] = useState(() => titleOf(drawn.current));
  const [told, setTold] = useState<Told | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [busy, setBusy] = useState(true);
  const [live, setLive] = useState<boolean | null>(null);
  const [said, say] = useState("");
  const [acting, setActing] = useState<{ row: Row; offer: Offer } | null>(null);
  const turn = useRef(0);
  const now = useRef({ listed, told });
  now.current = { listed, told };

  const attempt = useCallback(async (work: (isLast: () => boolean) => Promise<void>) => {
    const mine = ++turn.current;
    setBusy(true);
    try {
      await work(() => mine === turn.current);
      if (mine === turn.current) setError(null);
    } catch (failure) {
      if (mine === turn.current) setError(failure instanceof ApiError ? failure : new ApiError(String(failure), "PAGE"));
    } finally {
      if (mine === turn.current) setBusy(false);
    }
  }, []);

  const page = async (first: number, after: string | null) => {
    const { data, errors } = await ask(list.document, { first, after, ...asked(now.current.listed, list) });
    if (!data.rows) throw new ApiError(errors.get("rows") ?? "These rows cannot be shown.", "FORBIDDEN");
    return { ...data.rows, problem: [...errors.values()][0] };
  };

  /** Reads as many rows as are shown, from the first on. */
  const read = useCallback((rows = PAGE) => attempt(async (isLast) => {
    const answer = await page(Math.max(PAGE, Math.min(rows, FILE_PAGE)), null);
    if (!isLast()) return;
    setTold({ rows: answer.nodes, total: answer, more: answer.pageInfo.hasNextPage, cursor: answer.pageInfo.endCursor, problem: answer.problem });
    say(counted(answer, list.noun));
  }), [list]);

  const readOn = () => attempt(async (isLast) => {
    const answer = await page(PAGE, told!.cursor);
    if (!isLast()) return;
    setTold({ ...told!, rows: [...told!.rows, ...answer.nodes], more: answer.pageInfo.hasNextPage, cursor: answer.pageInfo.endCursor });
    say(`${told!.rows.length + answer.nodes.length} of ${counted(answer, list.noun)}`);
  });

  useLayoutEffect(() => {
    if (!told) return void read(); // asked before the page is drawn, not after
    const timer = setTimeout(() => void read(), TYPED);
    return () => clearTimeout(timer);
  }, [listed]);

  useEffect(() => {
    const travelled = () => {
      setListed(readListed(location.hash, list));
      setTitle(titleOf(location.hash));
    };
    let timer: number | undefined;
    const soon = () => {
      timer ??= window.setTimeout(() => {
        timer = undefined;
        void read(now.current.told?.rows.length);
      }, TOGETHER);
    };
    const ends = [
      followAddress(drawn.current, travelled),
      follow(CHANGES, ({ lifecycleEvents: { event } }) => event?.nodeId?.startsWith(`${list.type}:`) && soon(), setLive, soon),
      ...(list.type === "MonitoringAlert" ? [follow(ALERTS, ({ alerts }) => alerts.change && soon(), () => undefined, soon)] : []),
      onToken(soon),
    ];
    return () => {
      clearTimeout(timer);
      for (const end of ends) end();
    };
  }, []);

  useEffect(() => {
    document.title = `${title || list.title} · E2I metadata gateway`;
  }, [title]);

  const change = (changes: Partial<Listed>) => {
    const next = { ...listed, ...changes };
    history.replaceState(null, "", writeListed(next, list, title));
    setListed(next);
  };
  const toggle = (filter: string, value: string) => {
    const chosen = listed.filters[filter] ?? [];
    const next = chosen.includes(value) ? chosen.filter((one) => one !== value) : [...chosen, value];
    const { [filter]: _gone, ...others } = listed.filters;
    change({ filters: next.length ? { ...others, [filter]: next } : others });
  };
  const sortBy = (column: string) => change({ sort: listed.sort === `-${column}` ? column : `-${column}` });
  const filtered = listed.q !== "" || Object.keys(listed.filters).length > 0;

  const save = () => attempt(async (isLast) => {
    const rows: { id: string }[] = [];
    let cursor: string | null = null;
    do {
      const answer = await page(FILE_PAGE, cursor);
      if (!isLast()) return;
      rows.push(...answer.nodes);
      cursor = answer.pageInfo.hasNextPage ? answer.pageInfo.endCursor : null;
      say(`${rows.length} of ${counted(answer, list.noun)} read`);
    } while (cursor && rows.length < FILE_ROWS);
    const text = asCsv(["id", ...list.columns.map(({ label, unit }) => label + (unit ? unitName(unit, " (", ")") : ""))], rows.map((row) => [row.id, ...list.columns.map((column) => column.value(row))]));
    download(`${name}.csv`, new Blob([text], { type: "text/csv" }));
    say(`${rows.length} rows saved as ${name}.csv${cursor ? `; more than ${FILE_ROWS} are not saved` : ""}`);
  });

  return (
    <>
      <Bar page={name}><Search onPick={(id) => location.assign(lineageOf(id))} /></Bar>
      {error && (
        <div class="error" role="alert">
          <b>{error.message}</b> <code>{error.code}</code>
          {error.code === "UNAUTHENTICATED" ? <Token onKept={() => void read()} /> : <button onClick={() => void read()}>Try again</button>}
        </div>
      )}
      <main class="listing" aria-busy={busy}>
        <header class="summary">
          <h1>{title || list.title}</h1>
          <p>
            {told ? <>{counted(told.total, list.noun)}{filtered && " of this filter"}{told.more && `, ${told.rows.length} shown`}. </> : busy ? "Reading …" : null}
            {live ? <span class="live" title="Changes are shown when they are made">live</span>
              : live === false && told && <span class="stale" role="status">not followed live <button class="link" onClick={() => void read()}>read again</button></span>}
          </p>
          <span class="tools">
            <Views page={name} hash={() => writeListed(listed, list, title)} title={title} onTitle={(next) => { setTitle(next); history.replaceState(null, "", writeListed(listed, list, next)); }} />
            <button disabled={!told?.rows.length || busy} onClick={() => void save()} title={`All rows of this filter, up to ${FILE_ROWS}`}>CSV</button>
          </span>
        </header>
        <div class="filters" role="group" aria-label="Filters">
          <label class="find">Containing <input type="search" value={listed.q} onInput={(event) => change({ q: event.currentTarget.value })} /></label>
          {list.filters.map((filter) => (
            <fieldset key={filter.name}>
              <legend>{filter.label}</legend>
              {filter.values.map((value) => {
                const on = listed.filters[filter.name]?.includes(value) ?? false;
                return <button key={value} type="button" class="chip" aria-pressed={on} onClick={() => toggle(filter.name, value)}>{words(value)}</button>;
              })}
            </fieldset>
          ))}
          {filtered && <button class="link" onClick={() => change({ q: "", filters: {} })}>Clear filters</button>}
        </div>
        {told?.problem && <p class="problem">{told.problem}</p>}
        {told && !told.rows.length && (
          <p class="empty">{filtered ? `No ${list.noun} is of this filter.` : `There is no ${list.noun} yet.`}</p>
        )}
        {told && told.rows.length > 0 && (
          <div class="scroll" tabIndex={0} role="region" aria-label={`${list.title}, a table`}>
            <table>
              <thead>
                <tr>
                  {columns.map(({ name: column, label, field, unit }) => {
                    const way = listed.sort === column ? "ascending" : listed.sort === `-${column}` ? "descending" : "none";
                    const told = <>{label}{unit && <small>{unitName(unit, " ")}</small>}</>;
                    return (
                      <th key={column} scope="col" aria-sort={field ? way : undefined} class={unit ? "figure" : undefined}>
                        {field ? <button class="sort" onClick={() => sortBy(column)}>{told}<span aria-hidden="true">{way === "none" ? "" : way === "ascending" ? " ▲" : " ▼"}</span></button> : told}
                      </th>
                    );
                  })}
                  {list.acts && <th scope="col">What may be done</th>}
                </tr>
              </thead>
              <tbody>
                {told.rows.map((row) => {
                  const acts = list.acts?.(row);
                  return (
                    <tr key={row.id} data-row={row.id}>
                      {columns.map((column, at) => {
                        const value = column.value(row);
                        const content = column.cell ? column.cell(row) : column.unit ? <UnitValue value={value} unit={column.unit} bare /> : (value as string | null);
                        const props = { key: column.name, class: column.unit ? "figure" : undefined, "data-label": column.label + (column.unit ? unitName(column.unit, " (", ")") : "") };
                        return at === 0 ? <th {...props} scope="row">{content}</th> : <td {...props}>{content}</td>;
                      })}
                      {list.acts && <td class="acts" data-label="">{acts && <Offers row={acts.row} lifecycle={acts.moves} onAct={(one, offer) => setActing({ row: one, offer })} />}</td>}
                    </tr>
                  );
                })}
              </tbody>
            </table>
          </div>
        )}
        {told?.more && <p class="on"><button disabled={busy} onClick={() => void readOn()}>Show {(told.total.totalCountIsExact && Math.min(PAGE, told.total.totalCount - told.rows.length)) || PAGE} more</button></p>}
        <p class="spoken" role="status" aria-live="polite">{said}</p>
      </main>
      {acting && <Sheet {...acting} onClose={() => setActing(null)} onDone={() => void read(told?.rows.length)} />}
    </>
  );
}
