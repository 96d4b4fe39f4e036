/**
 * Documents that are made of the type or the mutation that they are about.
 *
 * Plain JavaScript, since `generate.mjs` writes all of them into the list of trusted documents: what the pages send and
 * what a gateway of trusted documents alone knows are made by the same lines.
 */

const BLOCKERS = "blockedBy { code message overridable node { id } }";
const CHANGES = `changes { mutation to allowed scope ${BLOCKERS} }`;

/**
 * A row's own fields, its lifecycle, changes and history.
 * @param {string} type
 * @param {{ fields: string[], links: string[], stateful?: boolean }} known
 */
export function detailsOf(type, { fields, links, stateful }) {
  const moves = `lifecycle {
      state
      allowedTransitions { to mutations ${BLOCKERS} }
      ${CHANGES}
      history(first: 10) { totalCount totalCountIsExact nodes { id fromState toState actor reason forced occurredAt } }
    }`;
  const linked = links.map((name) => `${name} { id }`);
  return `query Details($id: ID!) {
  node(id: $id) { id ... on ${type} { id ${[...fields, ...linked].join(" ")} ${stateful ? moves : ""} } }
}`;
}

/**
 * A row as it stands: its version, and of a model the champion that it stands beside.
 * @param {string} type
 */
export function standingOf(type) {
  return `query Standing($id: ID!) {
  node(id: $id) { id ... on ${type} { rowVersion ${type === "Model" ? "experiment { champion { id } }" : ""} } }
}`;
}

/**
 * The list at the root that a type usually has.
 * @param {string} type
 */
export function rootOf(type) {
  return `${type[0].toLowerCase()}${type.slice(1)}s`;
}

/**
 * The newest rows of a type.
 * @param {string} root
 */
export function newestOf(root) {
  return `query Newest($first: Int) { ${root}(first: $first) { nodes { ... on Node { id } } } }`;
}

/**
 * A change, or its preview.
 * @param {string} mutation
 */
export function changeOf(mutation) {
  return `mutation Change($input: ${mutation[0].toUpperCase()}${mutation.slice(1)}Input!) {
  result: ${mutation}(input: $input) {
    __typename
    ... on TransitionApplied { replayed event { id occurredAt actor } alsoChanged { id } }
    ... on TransitionPreview { wouldForce wouldChange { nodeId type before after } blockers { code message overridable node { id } } }
    ... on Problem { code message path }
    ... on TransitionBlocked { blockers { code message overridable node { id } } }
  }
}`;
}
