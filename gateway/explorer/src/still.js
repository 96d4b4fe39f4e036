/** What d3-zoom asks of d3-transition and d3-interpolate where nothing is ever in transition (see vite.config.ts). */

import { selection } from "d3-selection";

export function interrupt() {}

export function interpolateZoom() {}

selection.prototype.interrupt = function () {
  return this;
};
