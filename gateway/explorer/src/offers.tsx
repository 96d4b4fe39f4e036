/** The changes that are offered for a row, as buttons; what the caller may not do is said in their place. */

import { offers, refusal, type Moves, type Offer, type Row } from "./act";

export type Act = (row: Row, offer: Offer) => void;

export function Offers({ row, lifecycle, only, onAct }: { row: Row; lifecycle: Moves; only?: string[]; onAct: Act }) {
  const all = offers(row.type, lifecycle).filter(({ mutation }) => !only || only.includes(mutation));
  const told = all.map((offer) => ({ offer, why: refusal(offer, lifecycle) }));
  const denied = told.filter(({ why }) => why !== null);
  return (
    <p class="offers">
      {told.map(({ offer, why }) => why === null && (
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
      {denied.length > 0 && <small title={denied[0]!.why!}>You may not: {[...new Set(denied.map(({ offer }) => offer.label.toLowerCase()))].join(", ")}.</small>}
    </p>
  );
}
