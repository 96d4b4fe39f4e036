/** The token that the gateway asks for where it wants to know who asks. Kept until the tab is closed, and nowhere else. */

/** GraphiQL reads it, too. */
const KEY = "gateway.token";
const listeners = new Set<() => void>();

export const token = (): string => sessionStorage.getItem(KEY) ?? "";

export function keepToken(text: string): void {
  const bare = text.trim().replace(/^Bearer\s+/i, "");
  if (bare) sessionStorage.setItem(KEY, bare);
  else sessionStorage.removeItem(KEY);
  for (const listener of [...listeners]) listener();
}

/** Calls when another token, or none, is to be used. Returns what ends it. */
export function onToken(listener: () => void): () => void {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/** The headers of a request, with the token if there is one. */
export function credentials(): Record<string, string> {
  return token() ? { authorization: `Bearer ${token()}` } : {};
}
