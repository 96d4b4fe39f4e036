/** The cookbook: questions of the documentation as operations, searched by words, opened in a tab of their own. */

import { pick, useGraphiQL, useGraphiQLActions, type GraphiQLPlugin } from "@graphiql/react";
import { Kind, parse, print, type OperationDefinitionNode } from "graphql";
import { useState } from "react";
import text from "../../docs/how-to/questions.md?raw";

export interface Recipe {
  question: string;
  operation: string;
}

/** The rows of the page's table. */
export function recipes(markdown: string): Recipe[] {
  const rows = [...markdown.matchAll(/^\| ([^|`]+) \| `(.+)` \|$/gm)];
  return rows.map(([, question, operation]) => ({ question: question!.trim(), operation: named(question!, operation!) }));
}

/** The operation, laid out, with a name made of its question: GraphiQL titles the tab with it. */
function named(question: string, operation: string): string {
  const value = question.replace(/\W+/g, " ").trim().replace(/(?:^| )(\w)/g, (_all, letter: string) => letter.toUpperCase());
  const [first] = parse(operation).definitions as OperationDefinitionNode[];
  return print({ ...first!, name: { kind: Kind.NAME, value } });
}

/** Values to try an operation's variables with: ids of the newest rows of what they are named after. */
async function variables(operation: string, ask: (query: string) => Promise<Record<string, { nodes: { id: string }[] }>>): Promise<string> {
  const { variableDefinitions = [] } = parse(operation).definitions[0] as OperationDefinitionNode;
  const names = variableDefinitions.map(({ variable, type }) => [variable.name.value, print(type)] as const);
  const wanted = names.filter(([name]) => ["model", "experiment", "twinModel"].includes(name));
  const told = wanted.length
    ? await ask(`{ ${wanted.map(([name]) => `${name}: ${name}s(first: 1) { nodes { id } }`).join(" ")} }`).catch(() => ({}) as Awaited<ReturnType<typeof ask>>)
    : {};
  const values = names.map(([name, type]) => {
    const id = told[name]?.nodes[0]?.id ?? "";
    return [name, type.startsWith("UUID") ? id.replace(/^\w+:/, "") : id];
  });
  return names.length ? JSON.stringify(Object.fromEntries(values), null, 2) : "";
}

const ALL = recipes(text);

function BookIcon() {
  return (
    <svg viewBox="0 0 14 14" fill="none" stroke="currentColor" strokeWidth="1.3" aria-hidden="true">
      <path d="M7 3C5 1.7 3 1.7 1 2.2v9.3c2-.5 4-.5 6 .8 2-1.3 4-1.3 6-.8V2.2C11 1.7 9 1.7 7 3zM7 3v9" />
    </svg>
  );
}

export function cookbookPlugin(ask: (query: string) => Promise<Record<string, { nodes: { id: string }[] }>>): GraphiQLPlugin {
  function Cookbook() {
    const [wanted, setWanted] = useState("");
    const { queryEditor, variableEditor } = useGraphiQL(pick("queryEditor", "variableEditor"));
    const { addTab } = useGraphiQLActions();
    const words = wanted.toLowerCase().split(/\s+/).filter(Boolean);
    const found = ALL.filter(({ question, operation }) => words.every((word) => `${question} ${operation}`.toLowerCase().includes(word)));
    const open = async ({ operation }: Recipe) => {
      const values = await variables(operation, ask);
      addTab();
      queryEditor?.setValue(operation);
      variableEditor?.setValue(values);
    };
    return (
      <section className="cookbook" aria-label="Cookbook">
        <h2>Cookbook</h2>
        <label>
          Search <input type="search" value={wanted} onChange={(event) => setWanted(event.currentTarget.value)} />
        </label>
        <ul>
          {found.map((recipe) => (
            <li key={recipe.question}>
              <button type="button" onClick={() => void open(recipe)}>{recipe.question}</button>
            </li>
          ))}
        </ul>
        {!found.length && <p>No question is like that.</p>}
      </section>
    );
  }
  return { title: "Cookbook", icon: BookIcon, content: Cookbook };
}
