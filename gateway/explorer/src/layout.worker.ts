/** Places nodes away from the page's own thread. */

import type { Asked, Placed } from "./layout";
import { placed } from "./placing";

self.onmessage = ({ data: { turn, ids, edges, places } }: MessageEvent<Asked>) => {
  self.postMessage({ turn, places: [...placed(ids, edges, places)] } satisfies Placed);
};
