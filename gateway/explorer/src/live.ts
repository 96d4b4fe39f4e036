/** Changes as they happen, over one socket. A stream reads on where it stopped when the connection is lost. */

import { createClient, type Client } from "graphql-ws";
import { canFollow } from "./api";
import { ALERT_CHANGES, CHANGES as CHANGES_TEXT, type AlertChangesSubscription, type ChangesSubscription } from "./generated/operations";
import { credentials, onToken, token } from "./session";

/** A subscription whose messages each bring a cursor, which is its variable `after`. */
export interface Stream<T> {
  query: string;
  cursor(data: T): string;
}
export type LifecycleEvents = ChangesSubscription;
export type Alerts = AlertChangesSubscription;
export const CHANGES: Stream<LifecycleEvents> = { query: CHANGES_TEXT, cursor: (data) => data.lifecycleEvents.cursor };
export const ALERTS: Stream<Alerts> = { query: ALERT_CHANGES, cursor: (data) => data.alerts.cursor };

const FIRST_PAUSE = 1_000;
const LONGEST_PAUSE = 30_000;
const PING_EVERY = 15_000;
const PONG_WITHIN = 10_000;
/** So often a first connection is tried: behind a proxy that lets no sockets through there is nothing to follow. */
const FIRST_TRIES = 5;
/** What the gateway closes with where the same again is of no use: a refusal, or a protocol that it does not speak. */
const FINAL = [4400, 4401, 4403, 4406];

interface Closed {
  code: number;
}
interface Refusal {
  extensions?: { code?: string; cursor?: string };
}
const isClosed = (why: unknown): why is Closed => typeof (why as Closed | null)?.code === "number";

let shared: { client: Client; token: string } | undefined;
/** Whether a socket was ever open here. */
let known = false;

/** One socket for all streams; with another token, another one. */
function client(): Client {
  if (shared?.token === token()) return shared.client;
  const url = new URL("graphql", location.href);
  url.protocol = url.protocol.replace("http", "ws");
  url.hash = "";
  url.search = "";
  let silent: number | undefined;
  let tried = 0;
  const made = createClient({
    url: url.href,
    connectionParams: credentials,
    keepAlive: PING_EVERY,
    connectionAckWaitTimeout: PONG_WITHIN,
    retryAttempts: Infinity,
    retryWait: (tries) => new Promise((done) => setTimeout(done, Math.min(FIRST_PAUSE * 2 ** tries, LONGEST_PAUSE))),
    shouldRetry: (why) => !(isClosed(why) && FINAL.includes(why.code)) && (known || ++tried < FIRST_TRIES),
    on: {
      connected: () => void (known = true),
      ping: (received) => {
        if (!received) silent = window.setTimeout(() => made.terminate(), PONG_WITHIN); // a network that went without a word
      },
      pong: (received) => {
        if (received) clearTimeout(silent);
      },
      closed: () => clearTimeout(silent),
    },
  });
  shared = { client: made, token: token() };
  return made;
}

/**
 * Tells what a stream brings, and whether it is connected. `lost` says that something may have been missed, and that
 * what is shown has to be read again. Another token is used at once. Returns what ends it.
 */
export function follow<T extends object>(
  stream: Stream<T>,
  told: (data: T) => void,
  connected: (on: boolean) => void,
  lost: () => void = () => undefined,
): () => void {
  const variables: { after: string | null } = { after: null };
  let stop = () => {};
  let timer: number | undefined;
  let ended = false;

  function begin() {
    clearTimeout(timer);
    let mine = true;
    const socket = client();
    // without a place to go on from, what happens is followed only from the first message on, which tells the place
    const off = [
      socket.on("connected", () => variables.after !== null && connected(true)),
      socket.on("closed", () => connected(false)),
    ];
    const unsubscribe = socket.subscribe<T>(
      { query: stream.query, variables }, // read again at each connection, so that it goes on from the last cursor
      {
        next: ({ data }) => {
          if (!mine || !data) return;
          variables.after = stream.cursor(data);
          connected(true);
          told(data);
        },
        error: (why) => mine && failed(why),
        complete: () => mine && again(FIRST_PAUSE),
      },
    );
    stop = () => {
      mine = false;
      for (const one of off) one();
      unsubscribe();
    };
  }
  function again(pause: number) {
    stop();
    connected(false);
    if (!ended) timer = window.setTimeout(begin, pause);
  }
  function failed(why: unknown) {
    if (isClosed(why)) {
      connected(false);
      // after a refusal another token is waited for; where no first connection could be made, nothing is
      if (known && !FINAL.includes(why.code)) again(LONGEST_PAUSE);
      return;
    }
    const [first] = Array.isArray(why) ? (why as Refusal[]) : [];
    const cursor = first?.extensions?.cursor ?? null;
    const useful = variables.after !== null && variables.after !== cursor;
    variables.after = cursor;
    connected(false);
    if (!useful) return; // nothing can be followed here
    lost();
    again(FIRST_PAUSE);
  }

  const offToken = onToken(() => {
    stop();
    connected(false);
    begin();
  });
  void canFollow().then((can) => can && !ended && begin(), () => undefined);
  return () => {
    ended = true;
    offToken();
    clearTimeout(timer);
    stop();
  };
}
