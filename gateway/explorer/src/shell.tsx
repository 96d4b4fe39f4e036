/** What all pages share: the way between them, who is signed in, the colours, and how times and states are shown. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { ago, local, utc } from "./format";
import { forgetView, savedViews, saveView, titled } from "./saved";
import { PAGES, type PageName } from "./pages";
import { keepToken, token } from "./session";
import { SchemeSwitch } from "./controls";
import { tone, words } from "./tones";

interface BarProps {
  page: PageName;
  /** The search. */
  children?: ComponentChildren;
  /** What a page has of its own, in a line below. */
  tools?: ComponentChildren;
}

export function Bar({ page, children, tools }: BarProps) {
  const here = useRef<HTMLAnchorElement>(null);
  useEffect(() => here.current!.scrollIntoView({ inline: "center", block: "nearest" }), []); // on a phone the ways are wider than the page
  return (
    <>
      <header class="bar">
        <nav class="pages" aria-label="Pages">
          <i aria-hidden="true" />
          {PAGES.map(({ name, href, label }) => (
            <a key={name} ref={name === page ? here : undefined} href={href} aria-current={name === page ? "page" : undefined}>{label}</a>
          ))}
        </nav>
        {children}
        <span class="tools">
          {token() && <button title="Forget the token" onClick={() => { keepToken(""); location.reload(); }}>Sign out</button>}
          <SchemeSwitch />
        </span>
      </header>
      {tools && <div class="bar second" role="region" aria-label="View">{tools}</div>}
    </>
  );
}

/** A time on the reader's clock; in UTC when it is pointed at. */
export function Time({ at, relative = false }: { at: string; relative?: boolean }) {
  const title = relative ? `${local(at)}, ${utc(at)}` : utc(at);
  return <time dateTime={at} title={title}>{relative ? ago(at) : local(at)}</time>;
}

export function State({ state, type }: { state: string; type?: string }) {
  return <span class={`state tone-${tone(state, type)}`}>{words(state)}</span>;
}

interface ViewsProps {
  page: PageName;
  /** The address of what is shown. */
  hash(): string;
  title: string;
  onTitle(title: string): void;
}

/** Gives what is shown a name, and lists what has one. */
export function Views({ page, hash, title, onTitle }: ViewsProps) {
  const [views, setViews] = useState(savedViews);
  const input = useRef<HTMLInputElement>(null);
  const keep = (event: Event) => {
    event.preventDefault();
    const name = input.current!.value.trim().slice(0, 80);
    if (!name) return;
    const path = page === "home" ? "" : page;
    setViews(saveView({ name, href: path + titled(hash(), name) }));
    onTitle(name);
  };
  return (
    <details class="views">
      <summary>Views{views.length > 0 && ` (${views.length})`}</summary>
      <div>
        <form onSubmit={keep}>
          <label>Name <input ref={input} defaultValue={title} maxLength={80} required /></label> <button>Save this view</button>
        </form>
        {views.length === 0 ? <p class="dim">A saved view is kept in this browser; its address can be passed on.</p> : (
          <ul>
            {views.map(({ name, href }) => (
              <li key={name}>
                <a href={href}>{name}</a>
                <button class="link" aria-label={`Forget the view ${name}`} onClick={() => setViews(forgetView(name))}>forget</button>
              </li>
            ))}
          </ul>
        )}
      </div>
    </details>
  );
}

/** Where the explorer shows a row. */
export function lineageOf(id: string): string {
  return `explorer#from=${encodeURIComponent(id).replaceAll("%3A", ":")}&select=${encodeURIComponent(id).replaceAll("%3A", ":")}`;
}
