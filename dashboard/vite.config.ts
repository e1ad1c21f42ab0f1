// One page, one script, one style sheet, under fixed names: they are checked in, and the node has them in its binary. Paths are
// relative, so that the page works wherever the admin plane is mounted.
import { defineConfig } from "vite";

export default defineConfig({
  base: "./",
  build: {
    target: "es2022",
    modulePreload: false,
    cssCodeSplit: false,
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    rollupOptions: {
      output: {
        entryFileNames: "dashboard.js",
        inlineDynamicImports: true,
        assetFileNames: "dashboard[extname]",
      },
    },
  },
});
