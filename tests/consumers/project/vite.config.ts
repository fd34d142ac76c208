import { defineConfig } from "vite";

// `target`: the page awaits at its top level. Node.js runs the result, and has nothing to preload modules with.
export default defineConfig({ build: { target: "es2022", modulePreload: { polyfill: false } } });
