import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { defineConfig, type Plugin } from "vite";

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
        const html = String(index.source);
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

// The page is served at <mount>/explorer and its assets at <mount>/static/explorer/; see gateway/graphiql/vite.config.ts.
export default defineConfig({
  base: "./",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  worker: { format: "es" },
  plugins: [workerLicences("@dagrejs/dagre", "@dagrejs/graphlib"), pages("home", "lists", "explorer")],
  // d3-zoom brings the library of transitions for movements in time, of which the drawing has none
  resolve: { alias: { "d3-transition": fileURLToPath(new URL("src/still.js", import.meta.url)) } },
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
