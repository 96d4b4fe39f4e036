/** Views that were given a name. They are kept in this browser; a view's address holds its name too, so that a link shows it. */

const KEY = "console.views";
const MOST = 50;

export interface SavedView {
  name: string;
  /** Relative to the console: `alerts#severity=CRITICAL&title=...`. */
  href: string;
}

export function savedViews(): SavedView[] {
  try {
    const kept = JSON.parse(localStorage.getItem(KEY) ?? "[]") as unknown;
    const is = (one: unknown): one is SavedView => {
      const { name, href } = (one ?? {}) as Partial<SavedView>;
      return typeof name === "string" && typeof href === "string" && /^[a-z]*#/.test(href);
    };
    return Array.isArray(kept) ? kept.filter(is) : [];
  } catch {
    return []; // somebody else's, or of another version
  }
}

/** Keeps a view by its name; one of that name is replaced. */
export function saveView(view: SavedView): SavedView[] {
  return keep([view, ...savedViews().filter(({ name }) => name !== view.name)].slice(0, MOST));
}

export function forgetView(name: string): SavedView[] {
  return keep(savedViews().filter((one) => one.name !== name));
}

function keep(views: SavedView[]): SavedView[] {
  localStorage.setItem(KEY, JSON.stringify(views));
  return views;
}

/** The address of what is shown, under a name. */
export function titled(hash: string, title: string): string {
  const parameters = new URLSearchParams(hash.replace(/^#/, ""));
  if (title) parameters.set("title", title);
  else parameters.delete("title");
  return `#${parameters.toString().replaceAll("%3A", ":").replaceAll("%7E", "~").replaceAll("%2C", ",")}`;
}

export function titleOf(hash: string): string {
  return new URLSearchParams(hash.replace(/^#/, "")).get("title")?.slice(0, 80) ?? "";
}
