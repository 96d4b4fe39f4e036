/** The plugin that builds an operation of boxes to tick, with names for its inputs, which it leaves without. */

import { explorerPlugin } from "@graphiql/plugin-explorer";
import type { GraphiQLPlugin } from "@graphiql/react";
import { useEffect, useRef } from "react";

/** The argument that a value belongs to, with those around it: `where.composable.eq`. */
function path(input: Element): string {
  const within = input.parentElement?.closest<HTMLElement>("[data-arg-name]");
  return within ? [path(within), within.dataset.argName].filter(Boolean).join(".") : "";
}

/** Names each input below an element. */
function name(root: HTMLElement): void {
  for (const input of root.querySelectorAll("input:not([aria-label]), select:not([aria-label])")) {
    const other = input.closest(".graphiql-operation-title-bar") ? "Name of the operation" : "Kind of operation to add";
    input.setAttribute("aria-label", path(input) || other);
  }
}

export function operationExplorer(): GraphiQLPlugin {
  const plugin = explorerPlugin({ showAttribution: false });
  const Content = plugin.content;
  const Named = () => {
    const root = useRef<HTMLDivElement>(null);
    useEffect(() => {
      const watching = new MutationObserver(() => name(root.current!));
      watching.observe(root.current!, { childList: true, subtree: true });
      name(root.current!);
      return () => watching.disconnect();
    }, []);
    return <div ref={root} className="operation-explorer"><Content /></div>;
  };
  return { ...plugin, content: Named };
}
