/** Whole numbers beyond 2^53 with all their digits: read as BigInts, and written as the numbers that they are. */

import { marked, parse, unmarked } from "../../explorer/src/format";

const raw = (JSON as { rawJSON?(text: string): unknown }).rawJSON;

// GraphiQL writes what it shows by JSON.stringify, which raises for a BigInt; a browser without rawJSON gets its digits as text
Object.defineProperty(BigInt.prototype, "toJSON", {
  value(this: bigint) {
    return raw ? raw(String(this)) : String(this);
  },
});

/** The response, whose JSON keeps its digits. */
export function exact(response: Response): Response {
  response.json = async () => parse(await response.text());
  return response;
}

/** A WebSocket whose JSON keeps its digits, where `unmarked` reads it. */
class ExactSocket extends WebSocket {
  override set onmessage(told: WebSocket["onmessage"]) {
    super.onmessage = told && ((event: MessageEvent<string>) => told.call(this, new MessageEvent("message", { data: marked(event.data) })));
  }
}

/** What a client of `graphql-ws` needs so that its answers keep their digits. */
export const EXACT = { webSocketImpl: ExactSocket, jsonMessageReviver: unmarked };
