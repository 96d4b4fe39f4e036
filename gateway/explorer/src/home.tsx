/** The fleet at a glance: champions, alerts to work on, drift, fidelity, deployments and what has changed, followed live. */

import { useCallback, useEffect, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Offer, Row } from "./act";
import { followAddress } from "./address";
import { ask, ApiError, type Answered, type Lifecycle } from "./api";
import { Columns, days, Spark, Stack, type Part } from "./charts";
import { Token } from "./controls";
import { Event } from "./event";
import { counted, figure, number, type Counted } from "./format";
import { HOME, type HomeQuery } from "./generated/operations";
import "./home.css";
import { ALERTS, CHANGES, follow } from "./live";
import { Offers, type Act } from "./offers";
import { Search } from "./search";
import { onToken } from "./session";
import { Sheet } from "./sheet";
import { Bar, lineageOf, State, Time } from "./shell";
import { amount, SEVERITIES, severityTone, tone, typeName, words } from "./tones";

export type Fleet = HomeQuery;
type Rows<Name extends keyof Fleet> = NonNullable<Fleet[Name]> extends { nodes: (infer Row)[] } ? Row : never;
type Groups<Name extends keyof Fleet> = NonNullable<Fleet[Name]> extends { aggregate: (infer Group)[] | null } ? Group[] : never;
export type Champion = Rows<"champions">;
export type Alert = Rows<"alerts">;
type Change = Rows<"changes">;

/** The event that a link to this page names. */
function eventOf(hash: string): string | null {
  return new URLSearchParams(hash.replace(/^#/, "")).get("event");
}

/** How far back drift is shown. */
const DAYS = 14;
/** Milliseconds: changes come in swarms, which are read together, and the page is not read more often than this. */
const TOGETHER = 400;
const AT_MOST_EVERY = 3_000;
const HEALTHS = ["critical", "warning", "unknown", "healthy"];
const GRADES = ["excellent", "good", "fair", "poor", "unvalidated"];

const since = () => `${new Date(Date.now() - (DAYS - 1) * 86_400_000).toISOString().slice(0, 10)}T00:00:00Z`;

/** Champions, those in the worst health first. */
export function ranked(champions: Champion[]): Champion[] {
  const rank = ({ health }: Champion) => (HEALTHS.indexOf(health?.healthStatus ?? "unknown") + HEALTHS.length) % HEALTHS.length;
  return [...champions].sort((a, b) => rank(a) - rank(b) || Number(b.health?.activeAlerts ?? 0) - Number(a.health?.activeAlerts ?? 0));
}

/** Whether there is nothing yet to look after. */
export function isEmpty(fleet: Fleet): boolean {
  return fleet.models?.totalCount === 0 && !fleet.alerts?.totalCount && !fleet.deployments?.aggregate?.length;
}

export function Home() {
  const [told, setTold] = useState<(Answered<Fleet> & { at: string }) | null>(null);
  const [error, setError] = useState<ApiError | null>(null);
  const [live, setLive] = useState<boolean | null>(null);
  const [busy, setBusy] = useState(true);
  const [acting, setActing] = useState<{ row: Row; offer: Offer } | null>(null);
  const drawn = useRef(location.hash);
  const [event, setEvent] = useState(() => eventOf(drawn.current));
  const turn = useRef(0);

  const read = useCallback(async () => {
    const mine = ++turn.current;
    setBusy(true);
    try {
      const answer = await ask(HOME, { since: since() });
      if (mine !== turn.current) return;
      setTold({ ...answer, at: new Date().toISOString() });
      setError(null);
    } catch (failure) {
      if (mine === turn.current) setError(failure instanceof ApiError ? failure : new ApiError(String(failure), "PAGE"));
    } finally {
      if (mine === turn.current) setBusy(false);
    }
  }, []);

  useLayoutEffect(() => void read(), []); // asked before the page is drawn, not after
  useEffect(() => {
    let timer: number | undefined;
    let last = -Infinity;
    const soon = () => {
      if (timer !== undefined) return;
      timer = window.setTimeout(() => {
        timer = undefined;
        last = performance.now();
        void read();
      }, Math.max(TOGETHER, last + AT_MOST_EVERY - performance.now()));
    };
    const on = { changes: false, alerts: false };
    const connected = (which: keyof typeof on) => (is: boolean) => {
      on[which] = is;
      setLive(on.changes && on.alerts);
    };
    const ends = [
      followAddress(drawn.current, () => setEvent(eventOf(location.hash))),
      follow(CHANGES, ({ lifecycleEvents }) => lifecycleEvents.event && soon(), connected("changes"), soon),
      follow(ALERTS, ({ alerts }) => alerts.change && soon(), connected("alerts"), soon),
      onToken(soon),
    ];
    return () => {
      clearTimeout(timer);
      for (const end of ends) end();
    };
  }, []);

  useEffect(() => {
    const open = told?.data.alerts;
    document.title = `${open?.totalCount ? `(${amount(open.totalCount - +!open.totalCountIsExact, !open.totalCountIsExact)}) ` : ""}Home · E2I metadata gateway`;
  }, [told]);

  return (
    <>
      <Bar page="home"><Search onPick={(id) => location.assign(lineageOf(id))} /></Bar>
      {error && (
        <div class="error" role="alert">
          <b>{error.message}</b> <code>{error.code}</code>
          {told && <span>What is shown is as of <Time at={told.at} />.</span>}
          {error.code === "UNAUTHENTICATED" ? <Token onKept={() => void read()} /> : <button onClick={() => void read()}>Try again</button>}
        </div>
      )}
      <main class="home" aria-busy={busy}>
        {told ? (
          <>
            <Summary fleet={told.data} at={told.at} live={live} again={() => void read()} />
            {isEmpty(told.data) ? <Empty /> : <Fleet fleet={told.data} errors={told.errors} at={told.at} onAct={(row, offer) => setActing({ row, offer })} />}
          </>
        ) : (
          <header class="summary">
            <h1>{busy ? "Reading the fleet …" : error?.code === "UNAUTHENTICATED" ? "Who are you?" : "The fleet cannot be shown"}</h1>
            {!busy && error?.code === "UNAUTHENTICATED" && <p>The gateway answers those whom it knows: use a token above.</p>}
          </header>
        )}
      </main>
      {acting && <Sheet {...acting} onClose={() => setActing(null)} onDone={() => void read()} />}
      {event && !acting && <Event id={event} onClose={() => { history.replaceState(null, "", location.pathname); setEvent(null); }} />}
    </>
  );
}

function Summary({ fleet, at, live, again }: { fleet: Fleet; at: string; live: boolean | null; again(): void }) {
  const champions = fleet.champions?.nodes ?? [];
  const of = (status: string) => champions.filter(({ health }) => (health?.healthStatus ?? "unknown") === status).length;
  const said = HEALTHS.filter(of).map((status) => `${of(status)} ${status === "warning" ? "with a warning" : status === "unknown" ? "of unknown health" : status}`);
  const { alerts } = fleet;
  return (
    <header class="summary">
      <h1>
        {!alerts ? "The fleet" : alerts.totalCount ? `${counted(alerts, "alert")} to work on` : "No alert to work on"}
      </h1>
      <p>
        {fleet.champions && <>{counted(fleet.champions, "champion")}{said.length > 0 && `: ${said.join(", ")}`}. </>}
        <span class="dim">As of <Time at={at} /></span>
        {live ? <span class="live" title="Changes and alerts are shown when they are made">live</span>
          : live === false && <span class="stale" role="status">not followed live <button class="link" onClick={again}>read again</button></span>}
      </p>
    </header>
  );
}

function Empty() {
  return (
    <section class="card wide nothing">
      <h2>There is nothing here yet</h2>
      <p>The database has no model, no deployment and no alert. The gateway shows what the platform's pipelines write:</p>
      <ol>
        <li>Is it the right database? <code>DATABASE_URL</code> names it, and <code>e2i-gateway doctor</code> says what it finds there.</li>
        <li>A platform's own database is prepared once, without changing its tables: <code>e2i-gateway db attach</code>.</li>
        <li>To look around first, serve the demo: <code>e2i-gateway serve --demo small</code>.</li>
      </ol>
      <p>This page shows the first rows when they are there. <a href="graphql">GraphiQL</a> has the whole schema meanwhile.</p>
    </section>
  );
}

/** A part of the page; says why where it cannot be shown. */
function Card({ title, wide = false, problem, children, aside }: { title: string; wide?: boolean; problem?: string; children: preact.ComponentChildren; aside?: preact.ComponentChildren }) {
  const id = `card-${title.toLowerCase().replace(/\W+/g, "-")}`;
  return (
    <section class={wide ? "card wide" : "card"} aria-labelledby={id}>
      <header><h2 id={id}>{title}</h2>{aside}</header>
      {problem ? <p class="problem">{problem}</p> : children}
    </section>
  );
}

function Fleet({ fleet, errors, at, onAct }: { fleet: Fleet; errors: Map<string, string>; at: string; onAct: Act }) {
  const problem = (root: keyof Fleet) => (fleet[root] === null ? (errors.get(root) ?? "This cannot be shown.") : undefined);
  const window = days(since(), at);
  return (
    <div class="cards">
      <Card title="Alerts to work on" wide problem={problem("alerts")} aside={<More of={fleet.alerts} noun="alert" href="alerts#status=ACTIVE,ACKNOWLEDGED,INVESTIGATING" />}>
        <Alerts alerts={fleet.alerts?.nodes ?? []} onAct={onAct} />
      </Card>
      <Card title="Champions" wide problem={problem("champions")} aside={<More of={fleet.champions} noun="champion" href="models#champion=yes" />}>
        <Champions champions={ranked(fleet.champions?.nodes ?? [])} scores={fleet.scores?.aggregate ?? []} window={window} onAct={onAct} />
      </Card>
      <Card title="Drift by day" problem={problem("drift")} aside={<small class="dim">readings, last {DAYS} days (UTC)</small>}>
        <Drift counts={fleet.drift?.aggregate ?? []} window={window} />
      </Card>
      <Card title="Deployments" problem={problem("deployments")}>
        <Deployments counts={fleet.deployments?.aggregate ?? []} />
      </Card>
      <Card title="Twins and experiments" problem={problem("fidelity")} aside={<small class="dim">predicted against actual effect</small>}>
        <Fidelity fleet={fleet} />
      </Card>
      <Card title="Recent changes" problem={problem("changes")}>
        <Changes changes={fleet.changes?.nodes ?? []} />
      </Card>
    </div>
  );
}

/** How many there are beyond those that are shown, and where all of them are. */
function More({ of, noun, href }: { of: (Counted & { nodes: unknown[] }) | null; noun: string; href: string }) {
  if (!of) return null;
  return <small class="dim">{of.totalCount > of.nodes.length && `${of.nodes.length} of ${counted(of, noun)} · `}<a href={href}>as a list</a></small>;
}

function Alerts({ alerts, onAct }: { alerts: Alert[]; onAct: Act }) {
  if (!alerts.length) return <p class="dim">No alert is open.</p>;
  return (
    <ul class="alerts">
      {alerts.map((alert) => (
        <li key={alert.id} data-row={alert.id} class={`edge-${severityTone(alert.severity)}`}>
          <p>
            <b class={`severity text-${severityTone(alert.severity)}`}>{words(alert.severity ?? "no severity")}</b>{" "}
            <a href={lineageOf(alert.id)}>{alert.title ?? alert.id}</a>
          </p>
          <p class="dim">
            <State state={alert.status ?? "ACTIVE"} type="MonitoringAlert" />{" "}
            {alert.createdAt && <Time at={alert.createdAt} relative />}
            {alert.model && <> · <a href={lineageOf(alert.model.id)}>{alert.model.modelName} {alert.model.modelVersion}</a></>}
            {alert.triggeredRetraining && <> · retraining asked for</>}
          </p>
          {alert.lifecycle && <Offers row={{ id: alert.id, type: "MonitoringAlert", label: alert.title ?? alert.id }} lifecycle={alert.lifecycle} onAct={onAct} />}
        </li>
      ))}
    </ul>
  );
}

function Champions({ champions, scores: all, window, onAct }: { champions: Champion[]; scores: Groups<"scores">; window: string[]; onAct: Act }) {
  if (!champions.length) return <p class="dim">No model is a champion. A model in shadow or in production becomes one by <code>setChampion</code>.</p>;
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Champions, a table">
      <table class="champions">
        <thead>
          <tr><th scope="col">Champion</th><th scope="col">Health</th><th scope="col">Stage</th><th scope="col">Open alerts</th><th scope="col">Latest metric</th><th scope="col">Drift score, {DAYS} days</th><th scope="col">In production</th></tr>
        </thead>
        <tbody>
          {champions.map((one) => {
            const health = one.health?.healthStatus ?? "unknown";
            const scores = new Map(all.filter(({ group }) => group.modelId === one.rowId).map(({ group, driftScore }) => [group.createdAt?.slice(0, 10), driftScore?.max ?? null]));
            const values = window.map((day) => scores.get(day) ?? null);
            const last = values.findLast((value) => value !== null);
            return (
              <tr key={one.id} data-row={one.id}>
                <th scope="row">
                  <a href={lineageOf(one.id)}>{one.modelName} {one.modelVersion}</a>
                  {one.experiment && <small>{one.experiment.experimentName}</small>}
                </th>
                <td><State state={health} /></td>
                <td>{words(one.stage ?? "")}</td>
                <td>
                  {number(one.health?.activeAlerts ?? 0)}
                  {Number(one.health?.criticalAlerts ?? 0) > 0 && <span class="text-bad"> ({number(one.health!.criticalAlerts!)} critical)</span>}
                </td>
                <td>
                  {one.health?.latestMetricValue != null ? <>{figure(one.health.latestMetricValue)} <small>{one.health.primaryMetric}</small></>
                    : one.auc != null ? <>{figure(one.auc)} <small>auc at training</small></> : <span class="dim">none</span>}
                  {one.health?.performanceDegraded && <small class="text-bad"> degraded</small>}
                </td>
                <td class={`tone-${severityTone(one.health?.maxDriftSeverity ?? null)}`}>
                  <Spark values={values} most={1} label={last === undefined ? "" : `Largest drift score of a day: ${figure(Math.max(...values.map((value) => value ?? 0)))} in ${DAYS} days, ${figure(last!)} last`} />
                </td>
                <td>
                  {one.deployments?.nodes.map((deployment) => (
                    <Offers
                      key={deployment.id}
                      row={{ id: deployment.id, type: "Deployment", label: deployment.deploymentName ?? deployment.id }}
                      lifecycle={deployment.lifecycle ?? {}}
                      only={["rollbackDeployment"]}
                      onAct={onAct}
                    />
                  ))}
                  {one.deployments?.nodes.length === 0 && <span class="dim">not deployed</span>}
                </td>
              </tr>
            );
          })}
        </tbody>
      </table>
    </div>
  );
}

function Drift({ counts, window }: { counts: Groups<"drift">; window: string[] }) {
  if (!counts.length) return <p class="dim">No reading in the last {DAYS} days.</p>;
  const columns = window.map((day) => ({
    name: day,
    parts: [...SEVERITIES].reverse().map(([severity, tone]) => ({
      name: words(severity),
      tone,
      count: counts.filter(({ group }) => group.createdAt?.slice(0, 10) === day && group.severity === severity).reduce((sum, one) => sum + Number(one.count), 0),
    })),
  }));
  const total = (severity: string) => counts.filter(({ group }) => group.severity === severity).reduce((sum, one) => sum + Number(one.count), 0);
  const label = SEVERITIES.map(([severity]) => `${total(severity)} ${words(severity)}`).join(", ");
  return (
    <>
      <Columns columns={columns} label={`Readings of drift by severity in ${DAYS} days: ${label}`} />
      <ul class="key">{SEVERITIES.map(([severity, tone]) => <li key={severity} class={`key-${tone}`}>{words(severity)} {total(severity)}</li>)}</ul>
    </>
  );
}

function Deployments({ counts }: { counts: Groups<"deployments"> }) {
  if (!counts.length) return <p class="dim">Nothing is deployed.</p>;
  const order = ["production", "staging", "development"];
  const place = (name: string) => (order.indexOf(name) + order.length + 1) % (order.length + 1);
  const environments = [...new Set(counts.map(({ group }) => group.environment ?? "no environment"))].sort((a, b) => place(a) - place(b));
  const tones: Part["tone"][] = ["good", "busy", "mild", "bad", "info", "old", "none"];
  return (
    <ul class="rows">
      {environments.map((name) => {
        const parts = counts
          .filter(({ group }) => (group.environment ?? "no environment") === name)
          .map(({ group, count: many }) => ({ name: words(group.status ?? "no status"), count: Number(many), tone: tone(group.status) as Part["tone"] }))
          .sort((a, b) => tones.indexOf(a.tone) - tones.indexOf(b.tone) || b.count - a.count);
        const label = parts.map((part) => `${part.count} ${part.name}`).join(", ");
        return <li key={name}><p><b>{name}</b> <small>{label}</small></p><Stack parts={parts} label={`${name}: ${label}`} /></li>;
      })}
    </ul>
  );
}

const GRADE_TONES: Record<string, Part["tone"]> = { excellent: "good", good: "good", fair: "busy", poor: "bad" };

function Fidelity({ fleet }: { fleet: Fleet }) {
  const grades = [...(fleet.fidelity?.aggregate ?? [])]
    .map(({ group, count: many, absolutePredictionError }) => ({ grade: group.fidelityGrade?.toLowerCase() ?? "no grade", many: Number(many), error: absolutePredictionError?.avg ?? null }))
    .sort((a, b) => (GRADES.indexOf(a.grade) + 9) % 9 - (GRADES.indexOf(b.grade) + 9) % 9);
  const twins = fleet.twins?.nodes ?? [];
  if (!grades.length && !twins.length) return <p class="dim">No twin has been compared with an experiment.</p>;
  const parts = grades.map(({ grade, many }) => ({ name: grade, count: many, tone: GRADE_TONES[grade] ?? ("old" as const) }));
  return (
    <>
      {grades.length > 0 && <Stack parts={parts} label={grades.map(({ grade, many }) => `${many} ${grade}`).join(", ")} />}
      <table class="small">
        <thead><tr><th scope="col">Grade</th><th scope="col">Comparisons</th><th scope="col">Mean absolute error</th></tr></thead>
        <tbody>{grades.map(({ grade, many, error }) => <tr key={grade}><td><State state={grade} /></td><td>{many}</td><td>{error === null ? "none" : figure(error)}</td></tr>)}</tbody>
      </table>
      {twins.length > 0 && (
        <ul class="twins">
          {twins.map((twin) => <li key={twin.id}><a href={lineageOf(twin.id)}>{twin.modelName}</a> <small>{twin.fidelityScore === null ? "never validated" : `fidelity ${figure(twin.fidelityScore)}`}</small></li>)}
        </ul>
      )}
    </>
  );
}

/** What a changed row is called, where it is of a type that has a name. */
function named({ node, nodeType }: Change): string {
  const name = !node ? null
    : "title" in node ? node.title
    : "deploymentName" in node ? node.deploymentName
    : "modelName" in node ? `${node.modelName} ${node.modelVersion ?? ""}` : null;
  return [typeName(nodeType ?? "Row"), name].filter(Boolean).join(" ");
}

function Changes({ changes }: { changes: Change[] }) {
  if (!changes.length) return <p class="dim">The gateway has recorded no change.</p>;
  return (
    <ol class="changes">
      {changes.map((one) => (
        <li key={one.id}>
          {one.occurredAt && <Time at={one.occurredAt} relative />}{" "}
          {one.nodeId ? <a href={lineageOf(one.nodeId)}>{named(one)}</a> : named(one)}:{" "}
          {words(one.fromState ?? "made")} → <b>{words(one.toState ?? "")}</b> by {one.actor} <a href={`#event=${one.id}`} title="The recorded event">event</a>
          {one.forced && <b class="text-bad"> forced</b>}
          {one.reason && <p class="dim">{one.reason}</p>}
        </li>
      ))}
    </ol>
  );
}
