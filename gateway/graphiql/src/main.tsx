import { HISTORY_PLUGIN } from "@graphiql/plugin-history";
import { createGraphiQLFetcher, type Fetcher, type Storage } from "@graphiql/toolkit";
import { GraphiQL } from "graphiql";
import "graphiql/setup-workers/vite";
import { createClient } from "graphql-ws";
import { createRoot } from "react-dom/client";
import { cookbookPlugin } from "./cookbook";
import { EXACT, exact } from "./exact";
import { operationExplorer } from "./explorer";
import "./page.css";
import { resultsPlugin, type Facts } from "./results";

const ENDPOINT = window.location.pathname;
/** The examples, and of which model those speak that take one: the newest in a stage. */
const EXAMPLES = {
  "01-lineage-explorer": null,
  "02-llm-agent": null,
  "03-analyst": null,
  "04-lineage": "PRODUCTION",
  "05-change": "SHADOW",
};

/** The token that the console was given in this tab (see ../explorer/src/session.ts). */
function authorization(): string | undefined {
  const token = sessionStorage.getItem("gateway.token");
  return token ? `Bearer ${token}` : undefined;
}

/** Headers with the console's token, unless the header pane has another. */
function signed(given?: HeadersInit): Headers {
  const headers = new Headers(given);
  const kept = authorization();
  if (kept && !headers.has("authorization")) headers.set("authorization", kept);
  return headers;
}

/** fetch whose failures are GraphQL errors in words; GraphiQL alone would show "Failed to fetch" or a JSON parse error. */
async function request(input: RequestInfo | URL, init?: RequestInit): Promise<Response> {
  const failure = (message: string) => Response.json({ errors: [{ message }] });
  try {
    const response = await fetch(input, { ...init, headers: signed(init?.headers) });
    if (response.headers.get("content-type")?.includes("json")) return exact(response);
    const text = (await response.text()).slice(0, 300);
    return failure(`The answer is not GraphQL but HTTP ${response.status} ${response.statusText}: ${text}`);
  } catch (cause) {
    return failure(`The gateway at ${window.location.origin}${ENDPOINT} cannot be reached. Is it running? (${cause})`);
  }
}

/** What the header pane has; a socket is opened with it, too. */
let typed: Record<string, string> = {};

// The toolkit asks for application/graphql-response+json, application/json;q=0.9.
const send = createGraphiQLFetcher({
  url: ENDPOINT,
  wsClient: createClient({
    url: window.location.origin.replace(/^http/, "ws") + ENDPOINT,
    connectionParams: () => ({ authorization: authorization(), ...typed }), // read anew for each socket
    ...EXACT,
  }),
  enableIncrementalDelivery: false,
  fetch: request,
});
const fetcher: Fetcher = (operation, options) => {
  typed = options?.headers ?? {};
  return send(operation, options);
};

const savedKeys = () => Object.keys(localStorage).filter((key) => key.startsWith("graphiql:"));

/** localStorage less request headers: GraphiQL's history would keep every Authorization header that was ever typed. */
const storage: Storage = {
  getItem: (key) => localStorage.getItem(key),
  setItem: (key, value) => {
    const isHistory = key === "graphiql:queries" || key === "graphiql:favorites";
    const dropHeaders = (name: string, part: unknown) => (name === "headers" ? undefined : part);
    localStorage.setItem(key, isHistory ? JSON.stringify(JSON.parse(value), dropHeaders) : value);
  },
  removeItem: (key) => localStorage.removeItem(key),
  clear: () => savedKeys().forEach((key) => localStorage.removeItem(key)),
  get length() {
    return savedKeys().length;
  },
};

/** The data of an answer. Raises for whatever is no answer. */
async function ask<T>(query: string): Promise<T> {
  const headers = signed({ "content-type": "application/json", accept: "application/json" });
  const answer = await fetch(ENDPOINT, { method: "POST", headers, body: JSON.stringify({ query }) });
  return (await answer.json()).data as T;
}

/** The newest rows of lists. */
const newest = (query: string) => ask<Record<string, { nodes: { id: string }[] }>>(query);

/** The units of fields, asked once. */
let known: ReturnType<Facts> | undefined;
const facts: Facts = () => {
  known ??= ask<{ columnFacts: { type: string; field: string; unit: string | null }[] }>("{ columnFacts { type field unit } }").then(
    ({ columnFacts }) => new Map(columnFacts.flatMap(({ type, field, unit }) => (unit ? [[`${type}.${field}`, unit]] : []))),
  );
  known.catch(() => (known = undefined)); // a token may be missing yet
  return known;
};

/** The id of a model to try an example with; where none can be had, the form of one. */
async function newestModel(stage: string | null): Promise<string | null> {
  if (!stage) return null;
  try {
    return (await newest(`{ models(first: 1, where: { stage: { eq: ${stage} } }) { nodes { id } } }`)).models!.nodes[0]!.id;
  } catch {
    return "Model:00000000-0000-0000-0000-000000000000";
  }
}

/** The queries of the opening tabs. An example that cannot be read is left out: GraphiQL must open all the same. */
async function exampleTabs(): Promise<{ query: string; variables?: string }[]> {
  const read = Object.entries(EXAMPLES).map(async ([name, stage]) => {
    const [response, model] = await Promise.all([fetch(`static/graphiql-examples/${name}.graphql`), newestModel(stage)]);
    if (!response.ok) throw new Error(`${name}: HTTP ${response.status}`);
    const query = await response.text();
    return stage ? { query, variables: JSON.stringify({ model }, null, 2) } : { query };
  });
  const settled = await Promise.allSettled(read);
  return settled.flatMap((result) => (result.status === "fulfilled" ? [result.value] : []));
}

const hasSavedTabs = localStorage.getItem("graphiql:tabState") !== null;
const tabs = hasSavedTabs ? [] : await exampleTabs();
await document.fonts.load("15px 'Fira Code'"); // Monaco measures the font once, when an editor opens
const plugins = [HISTORY_PLUGIN, operationExplorer(), cookbookPlugin(newest), resultsPlugin(facts)];

createRoot(document.getElementById("graphiql")!).render(
  <GraphiQL
    fetcher={fetcher}
    plugins={plugins}
    storage={storage}
    defaultTabs={tabs.length ? tabs : undefined}
    shouldPersistHeaders={false}
    inputValueDeprecation
    schemaDescription
  >
    <GraphiQL.Logo>
      <h1 className="spoken">GraphiQL</h1>
      <nav className="pages" aria-label="Pages">
        <a href="./">Home</a> <a href="alerts">Alerts</a> <a href="models">Models</a> <a href="explorer">Lineage</a>{" "}
        <a href="graphql" aria-current="page">GraphiQL</a>
      </nav>
    </GraphiQL.Logo>
  </GraphiQL>,
);
