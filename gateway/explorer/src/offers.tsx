/** The changes that are offered for a row, as buttons; what the caller may not do is said in their place. */

import { offers, refused, type Offer, type Row } from "./act";
import type { Lifecycle } from "./api";

export type Act = (row: Row, offer: Offer) => void;

export function Offers({ row, lifecycle, only, onAct }: { row: Row; lifecycle: Pick<Lifecycle, "state" | "allowedTransitions">; only?: string[]; onAct: Act }) {
  const all = offers(row.type, lifecycle).filter(({ mutation }) => !only || only.includes(mutation));
  const denied = all.filter(({ mutation }) => refused.has(mutation));
  const open = all.filter(({ mutation }) => !refused.has(mutation));
  return (
    <p class="offers">
      {open.map((offer) => (
        <button
          key={offer.mutation + offer.to}
          class={offer.blockedBy.length ? "blocked" : undefined}
          title={offer.blockedBy.map(({ message }) => message).join("\n") || undefined}
          aria-label={`${offer.label}: ${row.label}`}
          onClick={() => onAct(row, offer)}
        >
          {offer.label} …
        </button>
      ))}
      {denied.length > 0 && <small title={refused.get(denied[0]!.mutation)}>You may not: {[...new Set(denied.map(({ label }) => label.toLowerCase()))].join(", ")}.</small>}
    </p>
  );
}
