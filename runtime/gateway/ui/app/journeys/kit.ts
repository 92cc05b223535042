import { AxeBuilder } from '@axe-core/playwright'
import { test as base, expect, type Page } from '@playwright/test'

/** What the node was filled with, told by the Go test that started it. */
export const facts = JSON.parse(process.env.TROUPE_UI_FACTS ?? '{}') as {
  errorTrace: string; hostileTrace: string; largeURL: string; deepTrace: string
  tenantURL: string; prefixURL: string; damagedURL: string; damagedBlock: string; followedURL: string; controlURL: string
}

/** Every test fails if the page asks another origin, breaks its policy, or logs an error that the test does not expect. */
export const test = base.extend<{ allowed: RegExp[] }>({
  allowed: [[], { option: true }],
  page: async ({ page, allowed }, use) => {
    const wrong: string[] = []
    page.on('console', (m) => { if (m.type() === 'error' && !allowed.some((r) => r.test(m.text()))) wrong.push(`console: ${m.text()} at ${m.location().url}:${m.location().lineNumber}:${m.location().columnNumber}`) })
    page.on('pageerror', (e) => wrong.push(`exception: ${e.message}`))
    page.on('request', (r) => {
      const own = new URL(process.env.TROUPE_UI_URL ?? 'http://127.0.0.1')
      const u = new URL(r.url())
      if (u.hostname !== own.hostname && u.protocol !== 'data:' && u.protocol !== 'blob:') wrong.push(`request to ${r.url()}`)
    })
    await use(page)
    expect(wrong).toEqual([])
  },
})

export { expect }

/** Looks for barriers in both themes. */
export async function expectAccessible(page: Page): Promise<void> {
  for (const scheme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme: scheme })
    await page.waitForTimeout(200)
    const found = await new AxeBuilder({ page }).withTags(['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa']).analyze()
    expect(found.violations.map((v) => `${scheme} ${v.id}: ${v.nodes.map((n) => `${n.target.join(' ')} ${n.any[0]?.message ?? ''}`).slice(0, 3).join(' | ')}`)).toEqual([])
  }
}

/** Types a query into the editor and runs it. */
export async function runQuery(page: Page, query: string): Promise<void> {
  const editor = page.locator('.cm-content')
  await editor.click()
  await page.keyboard.press('ControlOrMeta+a')
  await page.keyboard.press('Backspace') // over coloured text Chromium would insert a style of its own, which the policy blocks
  await page.keyboard.insertText(query)
  await page.keyboard.press('ControlOrMeta+Enter')
}
