/** The units of an answer's numbers: which field of which type each column is, as the operation and the schema say it. */

/** Of GraphQL's syntax tree and schema, what is looked at here. */
interface Selection {
  kind: string;
  name?: { value: string };
  alias?: { value: string };
  typeCondition?: { name: { value: string } };
  selectionSet?: { selections: readonly Selection[] };
}
interface Definition extends Selection {
  operation?: string;
}
interface Type {
  name?: string;
  ofType?: Type;
  getFields?(): Record<string, { type: unknown }>;
}
export interface Schema {
  getType(name: string): unknown;
  getQueryType(): unknown;
  getMutationType(): unknown;
  getSubscriptionType(): unknown;
}
/** A field and the type that has it. */
interface Step {
  type: string;
  field: string;
}

/** What is made of a column's values in its own unit; `count` is in none. */
const MADE = new Set(["min", "max", "avg", "sum", "stddev", "p50", "p95", "p99"]);

function named(type: unknown): Type {
  let inner = type as Type;
  while (inner.ofType) inner = inner.ofType;
  return inner;
}

/** The fields that a path of response keys leads through, from a type on; null where it leads to none. */
function steps(schema: Schema, fragments: Map<string, Selection>, selected: Selection, type: Type, path: string[]): Step[] | null {
  const [key, ...rest] = path;
  if (key === undefined) return [];
  for (const one of selected.selectionSet?.selections ?? []) {
    if (one.kind === "Field") {
      const field = one.name!.value;
      if ((one.alias ?? one.name)!.value !== key) continue;
      const leads = type.getFields?.()[field];
      const further = leads && steps(schema, fragments, one, named(leads.type), rest);
      if (further) return [{ type: type.name!, field }, ...further];
    } else {
      const inner = one.kind === "FragmentSpread" ? fragments.get(one.name!.value) : one;
      const on = inner?.typeCondition ? (schema.getType(inner.typeCondition.name.value) as Type | undefined) : type;
      const found = inner && on && steps(schema, fragments, inner, on, path);
      if (found) return found;
    }
  }
  return null;
}

/**
 * What tells the unit of a column of a list (`models.nodes[3].alerts.nodes`, `health.activeAlerts`) by the facts of
 * fields (`Model.auc`). Nothing where the operation does not have the column, or the field no unit.
 */
export function unitsOf(schema: Schema, definitions: readonly Definition[], facts: ReadonlyMap<string, string>): (list: string, column: string) => string {
  const fragments = new Map(definitions.filter(({ kind }) => kind === "FragmentDefinition").map((one) => [one.name!.value, one as Selection]));
  const roots = { query: schema.getQueryType(), mutation: schema.getMutationType(), subscription: schema.getSubscriptionType() };
  return (list, column) => {
    const path = `${list}.${column}`.replace(/\[\d+\]/g, "").split(".");
    for (const one of definitions) {
      const root = one.kind === "OperationDefinition" ? (roots[one.operation as keyof typeof roots] as Type | null | undefined) : null;
      const found = root ? steps(schema, fragments, one, root, path) : null;
      if (!found) continue;
      const leaf = found.at(-1)!;
      const above = found.at(-2);
      if (leaf.type !== "NumberAggregate") return facts.get(`${leaf.type}.${leaf.field}`) ?? "";
      return MADE.has(leaf.field) ? (facts.get(`${above!.type.replace(/Aggregate$/, "")}.${above!.field}`) ?? "") : "";
    }
    return "";
  };
}
