/** Follows the address of a page, whose hash says what is shown. */

/**
 * Calls when the address leads elsewhere than where it led when the page was drawn. A page is drawn some time before it
 * listens: an address that has changed in between is told at once. Returns what ends it.
 */
export function followAddress(drawn: string, moved: () => void): () => void {
  addEventListener("popstate", moved);
  if (location.hash !== drawn) moved();
  return () => removeEventListener("popstate", moved);
}
