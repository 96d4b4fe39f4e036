/** A recorded change, as it was written down. */

import { useEffect, useRef, useState } from "preact/hooks";
import { ask } from "./api";
import { json } from "./format";
import { EVENT, type EventQuery } from "./generated/operations";
import { lineageOf, Time } from "./shell";
import { typeName, words } from "./tones";

type Recorded = NonNullable<EventQuery["lifecycleEvent"]>;

export function Event({ id, onClose }: { id: string; onClose(): void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const [event, setEvent] = useState<Recorded | null | undefined>(undefined);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    if (!dialog.current!.open) dialog.current!.showModal();
    let current = true;
    ask(EVENT, { id }).then(
      ({ data, errors }) => current && (setEvent(data.lifecycleEvent), setProblem(errors.get("lifecycleEvent") ?? "")),
      (error: Error) => current && setProblem(error.message),
    );
    return () => {
      current = false;
    };
  }, [id]);
  return (
    <dialog ref={dialog} class="sheet" aria-labelledby="event-title" onClose={onClose}>
      <form method="dialog">
        <header>
          <p class="type">Recorded change</p>
          <h2 id="event-title">{event ? `${words(event.fromState ?? "made")} → ${words(event.toState ?? "")}` : "Change"}</h2>
        </header>
        {problem ? <p class="problem" role="alert">{problem}</p>
          : event === undefined ? <p class="dim">Reading …</p>
          : event === null ? <p class="problem" role="alert">There is no such event.</p>
          : (
            <dl>
              {event.occurredAt && <div><dt>when</dt><dd><Time at={event.occurredAt} /></dd></div>}
              <div><dt>who</dt><dd>{event.actor}</dd></div>
              <div><dt>row</dt><dd>{event.nodeId && <a href={lineageOf(event.nodeId)}>{typeName(event.nodeType ?? "Row")}</a>}</dd></div>
              <div><dt>by</dt><dd>{event.mutation}{event.forced && ", forced"}</dd></div>
              <div><dt>why</dt><dd>{event.reason ?? "no reason was given"}</dd></div>
              {event.details != null && <div><dt>details</dt><dd><pre>{json(event.details, 1)}</pre></dd></div>}
              <div><dt>request</dt><dd><code>{event.requestId}</code></dd></div>
              <div><dt>event</dt><dd><code>{event.id}</code></dd></div>
            </dl>
          )}
        <footer><button>Close</button></footer>
      </form>
    </dialog>
  );
}
