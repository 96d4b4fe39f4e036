import { defineConfig } from "vite";

// The page is served at <mount>/explorer and its assets at <mount>/static/explorer/; see gateway/graphiql/vite.config.ts.
export default defineConfig({
  base: "./",
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  worker: { format: "es" },
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
