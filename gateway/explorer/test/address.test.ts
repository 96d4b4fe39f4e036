import { readdirSync, readFileSync } from "node:fs";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { followAddress } from "../src/address";

let page: EventTarget;
const at = { hash: "" };
const go = (hash: string) => {
  at.hash = hash;
  page.dispatchEvent(new Event("popstate"));
};

beforeEach(() => {
  page = new EventTarget();
  at.hash = "#from=Model:1";
  vi.stubGlobal("location", at);
  vi.stubGlobal("addEventListener", page.addEventListener.bind(page));
  vi.stubGlobal("removeEventListener", page.removeEventListener.bind(page));
});
afterEach(() => vi.unstubAllGlobals());

test("an address that changes after a page was drawn and before it listens is followed", () => {
  const drawn = at.hash;
  const told: string[] = [];
  go("#from=Model:2");
  followAddress(drawn, () => told.push(at.hash));
  expect(told).toEqual(["#from=Model:2"]);
});

test("one that has not changed is not, those that change later are, until nobody listens", () => {
  const told: string[] = [];
  const end = followAddress(at.hash, () => told.push(at.hash));
  expect(told).toEqual([]);
  go("#from=Model:3");
  go("#from=Model:1");
  expect(told).toEqual(["#from=Model:3", "#from=Model:1"]);
  end();
  go("#from=Model:4");
  expect(told).toHaveLength(2);
});

test("pages follow their address in this way alone", () => {
  const sources = new URL("../src/", import.meta.url);
  const files = readdirSync(sources).filter((name) => /\.tsx?$/.test(name));
  const text = (name: string) => readFileSync(new URL(name, sources), "utf8");
  expect(files.filter((name) => /popstate|hashchange/.test(text(name)))).toEqual(["address.ts"]);
  expect(files.filter((name) => /followAddress\((drawn|drawnAt)\.current/.test(text(name)))).toEqual(["explorer.tsx", "home.tsx", "lists.tsx"]);
});
