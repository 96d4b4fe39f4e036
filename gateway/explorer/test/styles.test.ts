import { readdirSync, readFileSync } from "node:fs";
import { expect, test } from "vitest";

const sources = new URL("../src/", import.meta.url);
const read = (name: string) => readFileSync(new URL(name, sources), "utf8");

/** The classes that a sheet lays out wherever they stand: `.sheet { ... }`, not `.listing .sheet { ... }`. */
function laidOut(css: string): Set<string> {
  const rules = [...css.replace(/\/\*.*?\*\//gs, "").matchAll(/([^{}]+)\{([^{}]*)\}/g)];
  const layout = rules.filter(([, , body]) => /(^|[;\s])(position|width|display|box-shadow|max-height)\s*:/.test(body!));
  return new Set(layout.flatMap(([, selectors]) => selectors!.split(",").flatMap((one) => /^\s*\.([\w-]+)\s*$/.exec(one)?.[1] ?? [])));
}

test("a class means one thing: all pages have the rules of all sheets", () => {
  const sheets = readdirSync(sources).filter((name) => name.endsWith(".css") && name !== "first.css" && name !== "page.css");
  const common = laidOut(read("page.css"));
  expect(common.size).toBeGreaterThan(20);
  for (const name of sheets) expect([...laidOut(read(name))].filter((one) => common.has(one)), name).toEqual([]);
});
