/** Changes as they happen: a small client of graphql-transport-ws. It reads on where it stopped when a connection is lost. */

import { canFollow } from "./api";
import { credentials } from "./session";

const CHANGES = `subscription Changes($after: String) {
  lifecycleEvents(after: $after) { cursor event { nodeId } }
}`;
const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 30_000;
/** What the gateway closes with where trying again is of no use: a refusal, or a protocol that it does not speak. */
const FINAL = [4400, 4401, 4403, 4406];

interface Message {
  type: string;
  payload?: { data?: { lifecycleEvents: { cursor: string; event: { nodeId: string | null } | null } } };
}

/**
 * Tells ids of nodes whose state changes, and whether it is connected. Returns what ends it.
 *
 * A first connection that cannot be opened is not tried again: there is nothing to follow.
 */
export function follow(changed: (id: string) => void, connected: (on: boolean) => void): () => void {
  let socket: WebSocket | undefined;
  let timer: number | undefined;
  let after: string | null = null;
  let pause = FIRST_PAUSE;
  let known = false;
  let ended = false;

  function open() {
    const url = new URL("graphql", location.href);
    url.protocol = url.protocol.replace("http", "ws");
    url.hash = "";
    socket = new WebSocket(url, "graphql-transport-ws");
    const say = (message: object) => socket!.send(JSON.stringify(message));
    socket.onopen = () => say({ type: "connection_init", payload: credentials() });
    socket.onmessage = ({ data }: MessageEvent<string>) => {
      const { type, payload } = JSON.parse(data) as Message;
      if (type === "connection_ack") {
        say({ id: "changes", type: "subscribe", payload: { query: CHANGES, variables: { after } } });
        known = true;
        pause = FIRST_PAUSE;
        connected(true);
      } else if (type === "ping") say({ type: "pong" });
      else if (type === "next" && payload?.data) {
        const { cursor, event } = payload.data.lifecycleEvents;
        after = cursor;
        if (event?.nodeId) changed(event.nodeId);
      } else if (type === "error") {
        after = null; // the cursor is of no use any more, or nothing can be followed here
        known = false;
        socket!.close();
      }
    };
    socket.onclose = ({ code }) => {
      connected(false);
      if (ended || !known || FINAL.includes(code)) return;
      timer = window.setTimeout(open, pause);
      pause = Math.min(pause * 2, LONGEST_PAUSE);
    };
  }
  void canFollow().then((can) => can && !ended && open());
  return () => {
    ended = true;
    clearTimeout(timer);
    socket?.close();
  };
}
