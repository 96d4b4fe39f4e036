/** Whether a twin is good enough to skip an A/B test: what its predictions came to, and what it recommends now. */

import { useEffect, useState } from "preact/hooks";
import { ask, type ApiError } from "./api";
import { count, number } from "./format";
import { TWIN, type TwinQuery } from "./generated/operations";
import { lineageOf } from "./shell";
import { words, type Tone } from "./tones";
import { FEW, judgement } from "./verdict";

type Told = NonNullable<TwinQuery["twinModel"]>;
export type Comparison = NonNullable<Told["fidelityHistory"]>["nodes"][number];

/** What a recommendation means. */
const ADVICE: Record<string, string> = { DEPLOY: "run the A/B test", SKIP: "no A/B test: no effect worth it is expected", REFINE: "change the intervention and simulate again" };

/** What comparisons with real experiments say of a twin: a verdict, and what it rests on. */
export function verdict(all: Comparison[]): { tone: Tone; said: string; why: string } {
  const compared = all.filter(({ effectGrade }) => effectGrade);
  const { tone, said, grade, compared: many } = judgement(compared.map(({ effectGrade }) => ({ grade: effectGrade, count: 1 })));
  if (!grade) return { tone, said, why: `${count(many, "prediction has", "predictions have")} been compared with a real experiment; it takes ${FEW}.` };
  const errors = compared.flatMap(({ predictionError }) => (predictionError === null ? [] : [Math.abs(predictionError)])).sort((a, b) => a - b);
  const middle = errors[Math.floor((errors.length - 1) / 2)] ?? NaN;
  const fit = compared.filter(({ effectGrade }) => effectGrade === "excellent" || effectGrade === "good").length;
  const covered = all.filter(({ ciCoverage }) => ciCoverage !== null);
  const held = covered.length ? ` The real effect was within the predicted interval in ${covered.filter(({ ciCoverage }) => ciCoverage).length} of ${covered.length}.` : "";
  return { tone, said, why: `Half of ${count(many, "prediction")} were at most ${number(Math.round(middle * 1000) / 10)} % off (${grade}); ${fit} of ${many} were good or excellent.${held}` };
}

export function Twin({ id }: { id: string }) {
  const [told, setTold] = useState<Told | null>(null);
  const [problem, setProblem] = useState("");
  useEffect(() => {
    let current = true;
    ask(TWIN, { id }).then(({ data, errors }) => current && (setTold(data.twinModel), setProblem([...errors.values()][0] ?? "")), (error: ApiError) => current && setProblem(error.message));
    return () => {
      current = false;
    };
  }, [id]);
  const [next] = told?.simulations?.nodes ?? [];
  const { tone, said, why } = verdict(told?.fidelityHistory?.nodes ?? []);
  return (
    <section aria-label="Good enough to skip an A/B test?">
      <h3>Good enough to skip an A/B test?</h3>
      {problem && <p class="problem">{problem}</p>}
      {told?.fidelityHistory && <p><b class={`state tone-${tone}`}>{said}</b> {why}</p>}
      {next && (
        <p>
          Its newest finished <a href={lineageOf(next.id)}>simulation</a>{next.interventionType && ` (${words(next.interventionType)})`}
          {next.simulatedAte !== null && <> expects an effect of {number(next.simulatedAte)}{next.simulatedCiLower !== null && next.simulatedCiUpper !== null && ` (${number(next.simulatedCiLower)} to ${number(next.simulatedCiUpper)})`}</>}
          {next.recommendation && <> and recommends: <b>{ADVICE[next.recommendation] ?? words(next.recommendation)}</b></>}.
        </p>
      )}
    </section>
  );
}
