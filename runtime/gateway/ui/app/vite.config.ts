import { defineConfig } from 'vitest/config'

// The base is relative, so that the same build works below any path; index.html gets a <base href>
// from the server. `vite dev` passes the API on to a node on this machine.
export default defineConfig({
  base: './',
  build: {
    outDir: '../dist',
    emptyOutDir: true,
    target: 'es2022',
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    rollupOptions: { output: { entryFileNames: 'assets/[name]-[hash].js', chunkFileNames: 'assets/[name]-[hash].js' } },
  },
  worker: { format: 'es' },
  test: { include: ['src/**/*.test.ts'], testTimeout: 60_000 },
  server: { proxy: { '/api': 'http://127.0.0.1:3200', '/ui/config.json': 'http://127.0.0.1:3200', '/status': 'http://127.0.0.1:3200', '/ready': 'http://127.0.0.1:3200' } },
})
