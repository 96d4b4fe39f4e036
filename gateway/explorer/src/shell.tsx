/** What all pages share: the way between them, who is signed in, the colours, and how times and states are shown. */

import type { ComponentChildren } from "preact";
import { ago, local, utc } from "./format";
import { keepToken, token } from "./session";
import { SchemeSwitch } from "./controls";
import { tone, words } from "./tones";

export type PageName = "home" | "explorer";

const PAGES: { name: PageName | "graphiql"; href: string; label: string }[] = [
  { name: "home", href: "./", label: "Home" },
  { name: "explorer", href: "explorer", label: "Lineage" },
  { name: "graphiql", href: "graphql", label: "GraphiQL" },
];

export function Bar({ page, children, tools }: { page: PageName; children?: ComponentChildren; tools?: ComponentChildren }) {
  return (
    <header class="bar">
      <nav class="pages" aria-label="Pages">
        <i aria-hidden="true" />
        {PAGES.map(({ name, href, label }) => (
          <a key={name} href={href} aria-current={name === page ? "page" : undefined}>{label}</a>
        ))}
      </nav>
      {children}
      <span class="tools">
        {tools}
        {token() && <button title="Forget the token" onClick={() => { keepToken(""); location.reload(); }}>Sign out</button>}
        <SchemeSwitch />
      </span>
    </header>
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

/** Where the explorer shows a row. */
export function lineageOf(id: string): string {
  return `explorer#from=${encodeURIComponent(id).replaceAll("%3A", ":")}&select=${encodeURIComponent(id).replaceAll("%3A", ":")}`;
}
