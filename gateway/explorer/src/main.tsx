/** The pages: which one is asked for, and what holds if it fails. Each is a bundle of its own. */

import { render, type ComponentType } from "preact";
import { Boundary } from "./boundary";
import "./page.css";
import { LIST_NAMES } from "./pages";

const at = location.pathname.split("/").at(-1)!;
const list = LIST_NAMES.find((name) => name === at);

async function page(): Promise<ComponentType> {
  if (at === "explorer") return (await import("./explorer")).Explorer;
  if (!list) return (await import("./home")).Home;
  const { Lists } = await import("./lists");
  return () => <Lists name={list} />;
}

void page().then((Page) => render(<Boundary><Page /></Boundary>, document.getElementById("console")!));
