/** The token that the gateway asks for where it wants to know who asks. Kept until the tab is closed, and nowhere else. */

const KEY = "explorer.token";

export const token = (): string => sessionStorage.getItem(KEY) ?? "";

export function keepToken(text: string): void {
  const bare = text.trim().replace(/^Bearer\s+/i, "");
  if (bare) sessionStorage.setItem(KEY, bare);
  else sessionStorage.removeItem(KEY);
}

/** The headers of a request, with the token if there is one. */
export function credentials(): Record<string, string> {
  return token() ? { authorization: `Bearer ${token()}` } : {};
}
