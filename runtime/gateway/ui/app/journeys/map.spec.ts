import { expect, expectAccessible, facts, test } from './kit'

test('the map shows who calls whom, around one service, and leads to the traces of a line', async ({ page }) => {
  await page.goto('/ui/')
  await page.getByRole('link', { name: 'Map', exact: true }).click()
  const table = page.getByRole('table', { name: 'Calls between services' })
  await expect(table.getByRole('row', { name: /orders.*payment/ })).toBeVisible()
  await expectAccessible(page)
  await page.locator('.map-node', { hasText: 'payment' }).click()
  await expect(page).toHaveURL(/focus=payment/)
  await expect(page.getByRole('heading', { level: 1 })).toHaveText('payment')
  await expect(page.locator('.map-node', { hasText: 'catalog' })).toHaveCount(0)
  await table.getByRole('row', { name: /orders.*payment/ }).getByRole('link', { name: 'Traces' }).click()
  await expect(page).toHaveURL(/\/search/)
  await expect(page.locator('tbody tr.link').first()).toBeVisible()
  await page.goto('/ui/services/payment')
  await expect(page.getByRole('region', { name: 'Called by' })).toContainText('orders')
  await expectAccessible(page)
})

test('a map without calls says so, and one of a wrong query marks where it is wrong', async ({ page }) => {
  await page.goto('/ui/map?q=' + encodeURIComponent('{ name = "no such thing" }'))
  await expect(page.getByText('No calls between services in this range')).toBeVisible()
  await expectAccessible(page)
})

test('a large trace is downloaded from the node', async ({ page }) => {
  test.setTimeout(120_000)
  await page.goto(`${facts.largeURL}/ui/trace/${facts.deepTrace}`)
  await page.getByRole('button', { name: 'More …' }).click({ timeout: 60_000 })
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('menuitem', { name: /OTLP protobuf/ }).click()])
  expect(file.suggestedFilename()).toContain(facts.deepTrace)
  await file.cancel()
})
