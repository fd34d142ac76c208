// The development server of the pages. HUBS: the address of the hubs. REACT: "18", or empty for the newest.
import { svelte } from "@sveltejs/vite-plugin-svelte";
import react from "@vitejs/plugin-react";
import vue from "@vitejs/plugin-vue";
import { defineConfig } from "vite";

const { HUBS = "", REACT } = process.env;
const hubs = ["/room", "/chat", "/prices", "/assistant"];

export default defineConfig({
  plugins: [react(), vue(), svelte()],
  cacheDir: `node_modules/.vite-react-${REACT}`,
  resolve: {
    alias: REACT
      ? [
          { find: /^react(?=$|\/)/, replacement: `react-${REACT}` },
          { find: /^react-dom(?=$|\/)/, replacement: `react-dom-${REACT}` },
        ]
      : [],
  },
  server: {
    proxy: {
      ...Object.fromEntries(hubs.map((path) => [path, { target: HUBS, ws: true }])),
      // What docs/browser.md advises against.
      "/string": HUBS,
      "/changed": { target: HUBS, ws: true, changeOrigin: true },
    },
  },
});
