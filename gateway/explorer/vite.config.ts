import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";
import { PAGES } from "./src/pages.ts";

/** Vite lists the licences of what the page bundles, not of what its worker does; this adds them. */
function workerLicences(...names: string[]): Plugin {
  return {
    name: "worker-licences",
    enforce: "post",
    generateBundle: {
      order: "post",
      handler(_options, bundle) {
        const file = bundle["LICENSES.md"];
        if (file?.type !== "asset") throw new Error("LICENSES.md was not made yet");
        for (const name of names) {
          const read = (path: string) => readFileSync(new URL(`node_modules/${name}/${path}`, import.meta.url), "utf8");
          const { version, license } = JSON.parse(read("package.json")) as { version: string; license: string };
          file.source += `\n\n## ${name} - ${version} (${license})\n\n${read("LICENSE")}`;
        }
      },
    },
  };
}

/**
 * What is painted before anything else has come: the way between the pages, in a style of the page's own. The sheet
 * stands behind it, where browsers wait for it with what follows alone; scripts run when it has come.
 */
function first(html: string): string {
  const style = readFileSync(new URL("src/first.css", import.meta.url), "utf8").replace(/\/\*.*?\*\/|\s*\n\s*/gs, "").replace(/\s*([{}:;,])\s*/g, "$1");
  const links = PAGES.map(({ href, label }) => `<a href="${href}">${label}</a>`).join("");
  const sheets: string[] = [];
  const told = html
    .replace(/ *<link rel="stylesheet"[^>]*>\n?/g, (sheet) => (sheets.push(`    ${sheet.trim()}\n`), ""))
    .replace("<style></style>", `<style>${style}</style>`)
    .replace("</i></nav>", `</i>${links}</nav>`)
    .replace("    <noscript>", `${sheets.join("")}    <noscript>`);
  if (sheets.length !== 1 || !told.includes(links)) throw new Error("index.html is another than it was");
  return told;
}

/**
 * Writes a page for each bundle (home is index.html): the same page, that asks for its bundle at once and not only when
 * the first script has run.
 */
function pages(...names: string[]): Plugin {
  return {
    name: "pages",
    enforce: "post",
    generateBundle: {
      order: "post",
      handler(_options, bundle) {
        const index = bundle["index.html"];
        if (index?.type !== "asset") throw new Error("index.html was not made yet");
        const html = first(String(index.source));
        for (const name of names) {
          const chunk = Object.values(bundle).find((one) => one.type === "chunk" && one.isDynamicEntry && one.facadeModuleId?.endsWith(`/src/${name}.tsx`));
          if (chunk?.type !== "chunk") throw new Error(`${name} is no bundle of its own`);
          const scripts = [chunk.fileName, ...chunk.imports].filter((file) => !html.includes(file));
          const links = scripts.map((file) => `<link rel="modulepreload" crossorigin href="static/explorer/${file}">`);
          const source = html.replace("</head>", `${links.map((link) => `  ${link}\n  `).join("")}</head>`);
          if (name === "home") index.source = source;
          else this.emitFile({ type: "asset", fileName: `${name}.html`, source });
        }
      },
    },
  };
}

const STILL = fileURLToPath(new URL("src/still.js", import.meta.url));

// The page is served at <mount>/explorer and its assets at <mount>/static/explorer/; see gateway/graphiql/vite.config.ts.
export default defineConfig({
  base: "./",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  worker: { format: "es" },
  plugins: [workerLicences("@dagrejs/dagre", "@dagrejs/graphlib"), pages("home", "lists", "explorer")],
  // d3-zoom brings libraries for movements in time, of which the drawing has none
  resolve: { alias: { "d3-transition": STILL, "d3-interpolate": STILL } },
  build: {
    outDir: "../static/explorer",
    emptyOutDir: true,
    license: { fileName: "LICENSES.md" },
    cssCodeSplit: false, // one sheet is smaller than seven, and is asked for once
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
  },
  experimental: {
    renderBuiltUrl: (filename, { hostType }) =>
      hostType === "html" ? `static/explorer/${filename}` : { relative: true },
  },
});
