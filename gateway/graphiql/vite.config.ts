import { defineConfig } from "vite";

// The page is served at <mount>/graphql and the assets at <mount>/static/graphiql/. The page names its assets relative to
// itself and the assets name each other relative to their own files, so one build works below any mount path.
export default defineConfig({
  base: "./",
  resolve: {
    alias: { "monaco-editor/esm/vs/editor/edcore.main.js": new URL("src/monaco.ts", import.meta.url).pathname },
  },
  build: {
    outDir: "../static/graphiql",
    emptyOutDir: true,
    license: { fileName: "LICENSES.md" },
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 4000,
    rolldownOptions: { checks: { moduleLevelDirective: false } },
  },
  experimental: {
    renderBuiltUrl: (filename, { hostType }) =>
      hostType === "html" ? `static/graphiql/${filename}` : { relative: true },
  },
});
