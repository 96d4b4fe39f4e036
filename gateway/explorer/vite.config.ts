import { readFileSync } from "node:fs";
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

// The page is served at <mount>/explorer and its assets at <mount>/static/explorer/; see gateway/graphiql/vite.config.ts.
export default defineConfig({
  base: "./",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  worker: { format: "es" },
  plugins: [workerLicences("@dagrejs/dagre", "@dagrejs/graphlib")],
  build: {
    outDir: "../static/explorer",
    emptyOutDir: true,
    license: { fileName: "LICENSES.md" },
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
  },
  experimental: {
    renderBuiltUrl: (filename, { hostType }) =>
      hostType === "html" ? `static/explorer/${filename}` : { relative: true },
  },
});
