import { expect, expectAccessible, facts, test } from './kit'

test.describe('a trace a million spans deep, of ten thousand services', () => {
  test.setTimeout(180_000)
  test.beforeEach(async ({ page }) => {
    await page.goto(`${facts.largeURL}/ui/trace/${facts.deepTrace}`)
    await expect(page.getByRole('treegrid').getByRole('row').first()).toBeVisible({ timeout: 60_000 })
  })

  test('is shown to its last span, and tells what a span says', async ({ page }) => {
    await expect(page.locator('.trace-head')).toContainText(/1.000.000 spans/)
    await expect(page.locator('.trace-head')).toContainText(/10.000 services/)
    await page.locator('.rows').evaluate((e) => { e.scrollTop = e.scrollHeight })
    const last = page.getByRole('row', { name: 'deep-9999, link', exact: false }).last()
    await expect(last).toBeVisible()
    await last.click()
    await expect(page.getByRole('complementary', { name: 'Span' })).toContainText('deep-9999')
    await expect(page).toHaveURL(/span=/)
    await page.keyboard.press('u')
    await page.keyboard.press('Escape')
    await page.getByRole('searchbox', { name: 'Filter in the trace' }).fill('deep-777')
    await page.keyboard.press('Enter')
    await expect(page.getByRole('status').filter({ hasText: /1.100 of 1.000.000 in names/ })).toBeVisible({ timeout: 30_000 })
    await page.keyboard.press('Escape')
  })

  test('has every view', async ({ page }) => {
    for (const [view, text] of [['Flame', /Click for details/], ['Merged', /are left out/], ['Critical path', /What to make faster/], ['Operations', /of 10.000 operations/], ['Map', /services with few calls/], ['Events', /No span of this trace has events/]] as const) {
      await page.getByRole('group', { name: 'View' }).getByRole('button', { name: view }).click()
      await expect(page.locator('.trace-body')).toContainText(text, { timeout: 60_000 })
    }
  })
})

test('the place in a trace stands in the address: part of the time, closed spans, view, filter', async ({ page, browser }) => {
  await page.goto(`/ui/trace/${facts.errorTrace}`)
  const rows = page.getByRole('treegrid').getByRole('row')
  await rows.nth(1).click()
  await page.keyboard.press('z')
  await page.keyboard.press('ArrowLeft')
  await expect(page).toHaveURL(/z=\d+%2C\d+/)
  await expect(page).toHaveURL(/col=[0-9a-f]{16}/)
  await page.mouse.move(2, 2)
  await page.evaluate(() => (document.activeElement as HTMLElement | null)?.blur())
  await page.waitForTimeout(500)
  const picture = await page.locator('.trace-body').screenshot()
  const other = await (await browser.newContext({ viewport: { width: 1400, height: 900 } })).newPage()
  await other.goto(page.url())
  await expect(other.getByRole('complementary', { name: 'Span' })).toBeVisible()
  await expect(other.getByRole('complementary', { name: 'Span' })).not.toContainText('Reading the span')
  await other.mouse.move(2, 2)
  await other.waitForTimeout(500)
  const same = await other.locator('.trace-body').screenshot()
  expect(same.equals(picture), 'pictures are equal').toBe(true)
  await other.context().close()
})

test('joined paths and the map of a trace', async ({ page }) => {
  await page.goto(`/ui/trace/${facts.errorTrace}?view=merged`)
  await page.locator('.trace-body canvas').click({ position: { x: 60, y: 30 } })
  await expect(page.getByRole('region', { name: 'Chosen operation' })).toContainText('Called by')
  await expectAccessible(page)
  await page.getByRole('group', { name: 'View' }).getByRole('button', { name: 'Map' }).click()
  await expect(page.getByRole('table', { name: 'Calls between services of this trace' })).toContainText('payment')
  await expectAccessible(page)
  await page.locator('.map-node', { hasText: 'payment' }).click()
  await expect(page).toHaveURL(/focus=payment/)
})
