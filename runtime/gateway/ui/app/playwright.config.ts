import { defineConfig } from '@playwright/test'

// The journeys run against a node that test/ui has started; TROUPE_UI_URL says where.
export default defineConfig({
  testDir: 'journeys',
  outputDir: process.env.TROUPE_UI_OUTPUT ?? 'journeys/.results',
  timeout: 60_000,
  expect: { timeout: 15_000 },
  workers: 1,
  retries: 0,
  reporter: [['line']],
  use: {
    baseURL: process.env.TROUPE_UI_URL,
    viewport: { width: 1400, height: 900 },
    launchOptions: {
      executablePath: process.env.TROUPE_CHROMIUM ?? '/usr/bin/chromium',
      args: ['--no-sandbox', '--disable-gpu', '--disable-quic', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run'],
    },
  },
})
