/** The changes that are offered for a row, as buttons; what cannot be done, or not by the caller, is said in their place. */

import { impossible, offers, refusal, type Moves, type Offer, type Row } from "./act";

export type Act = (row: Row, offer: Offer) => void;

export function Offers({ row, lifecycle, only, explained = false, onAct }: { row: Row; lifecycle: Moves; only?: string[]; explained?: boolean; onAct: Act }) {
  const all = offers(lifecycle).filter(({ mutation }) => !only || only.includes(mutation));
  const told = all.map((offer) => ({ offer, why: refusal(offer, lifecycle), never: impossible(offer) }));
  const denied = told.filter(({ why }) => why !== null);
  const vain = told.filter(({ why, never }) => why === null && never !== null);
  return (
    <p class="offers">
      {told.map(({ offer, why, never }) => why === null && never === null && (
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
      {vain.map(({ offer, never }) => (
        <small key={offer.mutation + offer.to} title={never!}>Not now: {offer.label.toLowerCase()}{explained && `, ${never!}`}.</small>
      ))}
      {denied.length > 0 && <small title={denied[0]!.why!}>You may not: {[...new Set(denied.map(({ offer }) => offer.label.toLowerCase()))].join(", ")}.</small>}
    </p>
  );
}
