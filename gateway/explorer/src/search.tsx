/** The search that all pages have. */

import { useEffect, useRef, useState } from "preact/hooks";
import { search, type Hit } from "./api";
import { dated, local } from "./format";
import { recent } from "./recent";
import { State } from "./shell";
import { typeName } from "./tones";

/** Milliseconds after the last key. */
const PAUSE = 200;

/** A combobox: type, choose with the arrows, Enter opens. */
export function Search({ onPick }: { onPick(id: string): void }) {
  const [text, setText] = useState("");
  const [found, setFound] = useState<{ text: string; hits: Hit[]; note: string } | null>(null);
  const [at, setAt] = useState(0);
  const [open, setOpen] = useState(false);
  useEffect(() => {
    const wanted = text.trim();
    if (!wanted) {
      setFound(null);
      setAt(0);
      return;
    }
    let current = true;
    const timer = setTimeout(() => {
      search(wanted).then(
        (answer) => current && (setFound({ text: wanted, ...answer }), setAt(0)),
        (error: Error) => current && setFound({ text: wanted, hits: [], note: error.message }),
      );
    }, PAUSE);
    return () => {
      current = false;
      clearTimeout(timer);
    };
  }, [text]);
  const input = useRef<HTMLInputElement>(null);
  useEffect(() => {
    const wanted = (event: KeyboardEvent) => {
      const typing = (event.target as Element).closest("input, textarea, select, dialog");
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || typing) return;
      input.current?.focus();
      event.preventDefault();
    };
    addEventListener("keydown", wanted);
    return () => removeEventListener("keydown", wanted);
  }, []);
  const before = open && !text.trim() ? recent() : [];
  const hits = found?.hits ?? before;
  const shown = open && (!!found || before.length > 0);
  const pick = (hit: Hit | undefined) => {
    if (!hit) return;
    setOpen(false);
    setText("");
    onPick(hit.id);
  };
  function pressed(event: KeyboardEvent) {
    if (event.key === "ArrowDown") setAt(Math.min(at + 1, hits.length - 1));
    else if (event.key === "ArrowUp") setAt(Math.max(at - 1, 0));
    else if (event.key === "Enter") pick(hits[at]);
    else if (event.key === "Escape") setOpen(false);
    else return;
    event.preventDefault();
  }
  return (
    <div class="search">
      <input
        ref={input}
        type="search"
        placeholder="Search by name, id, type:alert, state:active   ( / )"
        aria-label="Search a node by name, id or type"
        list={undefined}
        role="combobox"
        aria-expanded={shown}
        aria-controls="hits"
        aria-activedescendant={shown && hits.length ? `hit-${at}` : undefined}
        value={text}
        onInput={(event) => { setText(event.currentTarget.value); setOpen(true); }}
        onFocus={() => setOpen(true)}
        onBlur={() => setTimeout(() => setOpen(false), 150)}
        onKeyDown={pressed}
      />
      {shown && (
        <ul id="hits" role="listbox" aria-label={found ? "Found" : "Opened before"}>
          {hits.map((hit, index) => (
            <li key={hit.id} id={`hit-${index}`} role="option" aria-selected={index === at} onMouseDown={() => pick(hit)}>
              <b>{dated(hit.label)}</b> <span>{typeName(hit.type)}</span>{hit.state && <> <State state={hit.state} type={hit.type} /></>}
              <small>{[hit.of, hit.why, hit.time && local(hit.time)].filter(Boolean).join(" · ")}</small>
            </li>
          ))}
          {found && !hits.length && !found.note && <li class="none">Nothing is like “{found.text}”.</li>}
          {found?.note && <li class="none">{found.note}</li>}
        </ul>
      )}
    </div>
  );
}
