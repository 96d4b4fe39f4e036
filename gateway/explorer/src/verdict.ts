/** Whether a twin's predictions are good enough to skip an A/B test. */

import type { Tone } from "./tones";

/** With fewer comparisons nothing is said. */
export const FEW = 3;
/** The platform's grades of predictions, by the error as a fraction of the real effect; the best first. */
const SAID: Record<string, [tone: Tone, said: string]> = {
  excellent: ["good", "Good enough"],
  good: ["good", "Good enough"],
  fair: ["busy", "Not without an A/B test: it is a hint"],
  poor: ["bad", "Not good enough"],
};

/** The verdict by how many predictions have each grade: that of the better half's worst. */
export function judgement(grades: { grade: string | null; count: number }[]): { tone: Tone; said: string; grade: string; compared: number } {
  const many = (wanted: string) => grades.reduce((sum, { grade, count }) => sum + (grade === wanted ? Number(count) : 0), 0);
  const compared = Object.keys(SAID).reduce((sum, grade) => sum + many(grade), 0);
  if (compared < FEW) return { tone: "none", said: "Too little is known", grade: "", compared };
  let seen = 0;
  const grade = Object.keys(SAID).find((one) => (seen += many(one)) > Math.floor((compared - 1) / 2))!;
  const [tone, said] = SAID[grade]!;
  return { tone, said, grade, compared };
}
