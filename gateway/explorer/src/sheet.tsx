/** A change before it is made: why, what it would change, what depends on it, what is in its way; then the change itself. */

import { createContext } from "preact";
import { useContext, useEffect, useRef, useState } from "preact/hooks";
import { change, depending, differences, documentOf, inputOf, key, missing, MUTATIONS, namesOf, refused, standing, type Filled, type Offer, type Planned, type Result, type Row } from "./act";
import { ApiError, types, type Blocker, type Known } from "./api";
import { download } from "./csv";
import { count, json, local, unitName } from "./format";
import "./sheet.css";
import { lineageOf, Time } from "./shell";
import { typeName, words } from "./tones";

const PAUSE = 300;
/** Stands for a reason that is not written yet, in what is only tried; it is not shown. */
const UNWRITTEN = "?";

interface Props {
  row: Row;
  offer: Offer;
  onClose(): void;
  /** The change was made. */
  onDone(): void;
}
type Preview = Extract<Result, { __typename: "TransitionPreview" }>;
type Applied = Extract<Result, { __typename: "TransitionApplied" }>;

/** The row that is changed: its name is known from the first. */
const Subject = createContext<Row | null>(null);

export function Sheet({ row, offer, onClose, onDone }: Props) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [filled, setFilled] = useState<Filled>({ reason: "", force: false, values: {} });
  const [version, setVersion] = useState<string | null>(null);
  /** The champion of the model's experiment; null without one, undefined where there is nothing to say of it. */
  const [champion, setChampion] = useState<string | null | undefined>(undefined);
  const [preview, setPreview] = useState<Preview | null>(null);
  const [impact, setImpact] = useState<{ said: string; complete: boolean } | null>(null);
  const [problem, setProblem] = useState<{ message: string; code: string; field?: string } | null>(null);
  const [notice, setNotice] = useState("");
  const [unsure, setUnsure] = useState(false);
  /** Why this caller may not override what is in the way; empty if it may. Not known as long as nothing is. */
  const [barred, setBarred] = useState<string | null>(null);
  const [done, setDone] = useState<Applied | null>(null);
  /** Whether the change cannot be made without a reason, and there is none yet. */
  const [reasonIsDue, setReasonIsDue] = useState(false);
  const [busy, setBusy] = useState(false);
  const [round, setRound] = useState(0);
  const sent = useRef({ text: "", key: "" });
  const turn = useRef(0);
  const { force, about, fields } = MUTATIONS[offer.mutation]!;
  const wanting = missing(offer, filled);
  const { reason, ...rest } = filled;
  // a reason alone changes no preview, unless one was asked for
  const asked = json({ rest, reason: filled.force || problem?.field === "reason" ? reason.trim() : "" });

  useEffect(() => {
    if (!dialog.current!.open) dialog.current!.showModal();
  }, []);

  /** Reads how the row stands, and tries the change without making it. */
  async function look(mine: number) {
    setBusy(true);
    try {
      const row_ = await standing(row);
      if (mine !== turn.current) return;
      if (!row_) throw new ApiError("This row no longer exists.", "NOT_FOUND");
      setVersion(row_.rowVersion);
      setChampion(row_.experiment ? (row_.experiment.champion?.id ?? null) : undefined);
      const input = { ...inputOf(offer, row.id, filled), expectedVersion: row_.rowVersion, dryRun: true };
      let told = await change(offer.mutation, input);
      const wantsReason = told.__typename === "InvalidInput" && told.path.at(-1) === "reason" && !reason.trim();
      if (wantsReason) told = await change(offer.mutation, { ...input, reason: UNWRITTEN }); // what it would do is seen before it is explained
      if (mine !== turn.current) return;
      setReasonIsDue(wantsReason);
      if (told.__typename === "TransitionPreview") {
        setPreview(told);
        setProblem(null);
        if (barred === null && canOverride(told.blockers)) await tryForce(row_.rowVersion);
      } else if (told.__typename === "StaleVersion") setRound((one) => one + 1); // it has changed between the two
      else if (told.__typename !== "TransitionApplied") refuse(told);
    } catch (failure) {
      if (mine === turn.current) fail(failure);
    } finally {
      if (mine === turn.current) setBusy(false);
    }
  }

  const canOverride = (blockers: Blocker[]) => force && blockers.length > 0 && blockers.every((one) => one.overridable);

  /** Finds out, without making the change, whether this caller may override guards. */
  async function tryForce(expectedVersion: string) {
    const input = inputOf(offer, row.id, { ...filled, reason: reason || UNWRITTEN, force: true });
    const told = await change(offer.mutation, { ...input, expectedVersion, dryRun: true });
    setBarred(told.__typename === "Forbidden" ? told.message : "");
  }

  function refuse(told: Exclude<Result, Preview | Applied>) {
    if (told.__typename === "Forbidden" && !filled.force) refused.set(offer.mutation, told.message);
    setPreview(told.__typename === "TransitionBlocked" ? { __typename: "TransitionPreview", wouldForce: [], wouldChange: [], blockers: told.blockers } : null);
    setProblem({ message: told.message, code: told.code, field: told.__typename === "InvalidInput" ? told.path.at(-1) : undefined });
  }

  function fail(failure: unknown) {
    const error = failure instanceof ApiError ? failure : new ApiError(String(failure), "PAGE");
    setProblem({ message: error.message, code: error.code });
  }

  useEffect(() => {
    if (done || wanting.length) return;
    const mine = ++turn.current;
    const timer = setTimeout(() => void look(mine), round ? 0 : PAUSE);
    return () => clearTimeout(timer);
  }, [asked, round]);

  useEffect(() => {
    let current = true;
    if (offer.to) void depending(row.id, offer.to).then((told) => current && setImpact(told), () => undefined); // not known to this caller
    return () => {
      current = false;
    };
  }, [round]);

  async function confirm() {
    const input = { ...inputOf(offer, row.id, filled), expectedVersion: version };
    const text = json(input);
    if (sent.current.text !== text) sent.current = { text, key: key() };
    turn.current++;
    setBusy(true);
    setNotice("");
    setUnsure(false);
    try {
      const told = await change(offer.mutation, { ...input, idempotencyKey: sent.current.key });
      if (told.__typename === "TransitionApplied") {
        setDone(told);
        setProblem(null);
        onDone();
      } else if (told.__typename === "StaleVersion") {
        setNotice("The row has changed since it was previewed. This is what the change would do now.");
        setRound((one) => one + 1);
      } else if (told.__typename !== "TransitionPreview") refuse(told);
    } catch (failure) {
      fail(failure);
      // the change may have been made and its answer lost; the same key tells
      setUnsure(failure instanceof ApiError && !["UNAUTHENTICATED", "FORBIDDEN"].includes(failure.code));
    } finally {
      setBusy(false);
    }
  }

  const blockers = preview?.blockers ?? [];
  const overridable = canOverride(blockers);
  const forced = preview?.wouldForce ?? [];
  const forbidden = problem?.code === "FORBIDDEN";
  const ready = !busy && !(reasonIsDue && !reason.trim()) && preview !== null && !wanting.length && (blockers.length === 0 || (filled.force && overridable)) && (!filled.force || !!reason.trim()) && (!problem || unsure);
  const copy = async () => {
    const text = `${documentOf(offer.mutation)}\n\n# variables\n# ${json({ input: { ...inputOf(offer, row.id, filled), expectedVersion: version, dryRun: true } })}\n`;
    await navigator.clipboard.writeText(text).catch(() => download("change.graphql", new Blob([text], { type: "text/plain" })));
    setNotice("Copied as GraphQL, as a dry run.");
  };

  return (
    <Subject.Provider value={row}><dialog ref={dialog} class="sheet" aria-labelledby="sheet-title" onClose={onClose}>
      <form method="dialog" onSubmit={(event) => { event.preventDefault(); if (ready) void confirm(); }}>
        <header>
          <p class="type">{typeName(row.type)} · {row.label}</p>
          <h2 id="sheet-title">{offer.label}</h2>
          <p class="dim">{about}</p>
        </header>
        {done ? (
          <div class="made" role="status">
            <p><b>Done.</b> {done.replayed ? "It had been made before: nothing was changed twice." : ""} <Time at={done.event.occurredAt} /> by {done.event.actor}.</p>
            {done.alsoChanged.length > 0 && <p>Changed with it: <Named ids={done.alsoChanged.map(({ id }) => id)} />.</p>}
            <p><a href={`./#event=${done.event.id}`}>The recorded event</a> · <a href={lineageOf(row.id)}>its lineage</a></p>
          </div>
        ) : (
          <>
            <label class="field">
              Reason {(problem?.field === "reason" || reasonIsDue) && !reason.trim() && <em>is needed</em>}
              <textarea rows={2} value={reason} placeholder="Kept in the record of changes" onInput={(event) => setFilled({ ...filled, reason: event.currentTarget.value })} />
            </label>
            {fields.filter((field) => field.required).map((field) => <Input key={field.name} field={field} filled={filled} onFill={setFilled} wrong={problem?.field === field.name} />)}
            {fields.some((field) => !field.required) && (
              <details>
                <summary>More</summary>
                {fields.filter((field) => !field.required).map((field) => <Input key={field.name} field={field} filled={filled} onFill={setFilled} wrong={problem?.field === field.name} />)}
              </details>
            )}
            {notice && <p class="notice" role="status">{notice}</p>}
            <section class="preview" aria-label="Preview" aria-live="polite" aria-busy={busy}>
              {wanting.length > 0 && <p class="dim">It is previewed once {wanting.map(({ name }) => words(apart(name))).join(" and ")} {wanting.length > 1 ? "are" : "is"} filled in.</p>}
              {!wanting.length && !preview && !problem && <p class="dim">Trying it, without making it …</p>}
              {problem && !(problem.field === "reason" && !reason.trim()) && (
                <p class="problem" role="alert">
                  {forbidden && "You may not do this. "}{problem.message} {!forbidden && <code>{problem.code}</code>}
                  {unsure && " It is not known whether the change was made. Sent again it is made once, not twice."}
                  {!unsure && !forbidden && !problem.field && problem.code !== "ILLEGAL_TRANSITION" && <> <button type="button" class="link" onClick={() => setRound(round + 1)}>Try again</button></>}
                </p>
              )}
              {(problem?.field === "reason" || reasonIsDue) && !reason.trim() && <p class="dim">This change needs a reason.</p>}
              {blockers.length > 0 && <Blockers blockers={blockers} forced={filled.force && overridable} />}
              {preview && blockers.length === 0 && <Changes planned={preview.wouldChange} forced={forced} />}
              {preview && champion !== undefined && (
                <p class="dim">{champion === null ? "Its experiment has no champion." : champion === row.id ? "It is the champion of its experiment." : <>The champion of its experiment is <Named ids={[champion]} />{offer.mutation === "promoteModel" && ", and stays it"}.</>}</p>
              )}
              {preview && impact && <p class="dim">{impact.said ? <>Behind it: <b>{impact.said}{impact.complete ? "" : " or more"}</b>.</> : "Nothing else depends on it."}</p>}
            </section>
            {overridable && barred && <p class="dim">You may not override this. {barred}</p>}
            {((overridable && barred === "") || filled.force) && (
              <label class="force"><input type="checkbox" checked={filled.force} onChange={(event) => setFilled({ ...filled, force: event.currentTarget.checked })} /> Do it all the same. This is recorded, and has to be explained above.</label>
            )}
          </>
        )}
        <footer>
          {!done && <button type="button" class="link" onClick={() => void copy()}>Copy as GraphQL</button>}
          <button type="button" onClick={() => dialog.current!.close()}>{done ? "Close" : "Cancel"}</button>
          {!done && <button type="submit" class="primary" disabled={!ready}>{unsure ? "Send again" : offer.label}</button>}
        </footer>
      </form>
    </dialog></Subject.Provider>
  );
}

/** Rows by their names, as links that leave the dialog open; by their types where no name is known. */
function Named({ ids }: { ids: string[] }) {
  const subject = useContext(Subject);
  const [names, setNames] = useState<Awaited<ReturnType<typeof namesOf>> | null>(null);
  const asked = ids.join(" ");
  useEffect(() => {
    let current = true;
    void namesOf(ids).catch(() => new Map()).then((found) => current && setNames(found));
    return () => {
      current = false;
    };
  }, [asked]);
  const nameOf = (id: string) => names?.get(id)?.label ?? (id === subject?.id ? subject.label : names ? typeName(id.split(":")[0]!) : "…");
  return (
    <>
      {ids.map((id, at) => (
        <>
          {at > 0 && ", "}
          <a href={lineageOf(id)} target="_blank" rel="noopener" title="Its lineage, in a new tab">{nameOf(id)}</a>
        </>
      ))}
    </>
  );
}

/** camelCase as words. */
function apart(name: string): string {
  return name.replace(/([A-Z])/g, "_$1");
}

function Input({ field, filled, onFill, wrong }: { field: { name: string; about: string; type: string; values?: string[]; list?: boolean; required?: boolean }; filled: Filled; onFill(filled: Filled): void; wrong: boolean }) {
  const value = filled.values[field.name] ?? "";
  const fill = (text: string) => onFill({ ...filled, values: { ...filled.values, [field.name]: text } });
  const values = field.values ?? (field.type === "Boolean" ? ["true", "false"] : undefined);
  return (
    <label class="field" title={field.about}>
      {words(apart(field.name))} {wrong && <em>cannot be used</em>}
      {values ? (
        <select value={value} onChange={(event) => fill(event.currentTarget.value)}>
          <option value="">choose …</option>
          {values.map((one) => <option key={one} value={one}>{words(one)}</option>)}
        </select>
      ) : field.type === "JSON" || field.list ? (
        <textarea rows={2} value={value} placeholder={field.list ? "One a line" : "JSON"} onInput={(event) => fill(event.currentTarget.value)} />
      ) : (
        <input inputMode={field.type === "Int" || field.type === "Float" ? "decimal" : undefined} placeholder={field.type === "Date" ? "2026-12-31" : undefined} value={value} onInput={(event) => fill(event.currentTarget.value)} />
      )}
    </label>
  );
}

function Blockers({ blockers, forced }: { blockers: Blocker[]; forced: boolean }) {
  return (
    <>
      <p><b>{forced ? "It would override:" : "It is blocked:"}</b></p>
      <ul class="moves">
        {blockers.map((one) => (
          <li key={one.code + one.message} class="blocked">
            {one.message} <small>{one.overridable ? "can be overridden" : "cannot be overridden"}</small>
            {one.node && <> <Named ids={[one.node.id]} /></>}
          </li>
        ))}
      </ul>
    </>
  );
}

function Changes({ planned, forced }: { planned: Planned[]; forced: string[] }) {
  const [known, setKnown] = useState<Record<string, Known>>({});
  useEffect(() => void types().then(setKnown, () => undefined), []); // without them numbers have no unit
  return (
    <>
      <p><b>It would change {count(planned.length, "row")}</b>{forced.length > 0 && <> and override {forced.map(words).join(", ")}</>}:</p>
      <ul class="planned">
        {planned.map((one) => (
          <li key={`${one.type}${one.nodeId}`}>
            {one.nodeId ? <>{typeName(one.type)} <Named ids={[one.nodeId]} /></> : <b>a new {typeName(one.type).toLowerCase()}</b>}
            <ul>
              {differences(one).slice(0, 6).map(({ field, before, after }) => (
                <li key={field}>
                  {words(apart(field))}: {after === UNWRITTEN ? "the reason above" : <>{one.before && <><s>{shown(before)}</s> → </>}<b>{shown(after)}{typeof after === "number" && unitName(known[one.type]?.units[field] ?? "", " ")}</b></>}
                </li>
              ))}
            </ul>
          </li>
        ))}
      </ul>
    </>
  );
}

function shown(value: unknown): string {
  if (value === null || value === undefined) return "nothing";
  if (typeof value === "string" && /^\d{4}-\d\d-\d\dT\d\d:/.test(value)) return local(value);
  if (typeof value === "string") return /^[A-Z_]+$/.test(value) ? words(value) : value;
  return json(value);
}
