import { expect, expectAccessible, facts, test } from './kit'

test('a block that cannot be read is named, and what the others hold is shown', async ({ page }) => {
  await page.goto(facts.damagedURL + '/ui/search')
  await expect(page.getByText('This answer is incomplete')).toBeVisible()
  await expect(page.locator('.notice.warn')).toContainText(facts.damagedBlock)
  await expect(page.locator('tbody tr.link').first()).toBeVisible()
  await expectAccessible(page)
  await page.goto(facts.damagedURL + '/ui/services')
  await expect(page.locator('.notice.warn')).toContainText(facts.damagedBlock)
})

test.describe('a tenant that cannot be', () => {
  test.use({ allowed: [/40[0-9]/] })
  test('is refused in the words of the node', async ({ page }) => {
    await page.goto(facts.tenantURL + '/ui/search?tenant=' + encodeURIComponent('../b'))
    await expect(page.getByRole('alert').first()).toContainText('tenant')
    await expectAccessible(page)
  })
})

test('a clock that is ahead, a name that nobody has, and a node that nothing was sent to', async ({ page }) => {
  await page.goto('/ui/sending?service=clock-ahead')
  await expect(page.getByText(/Its clock is .* ahead of the node's/)).toBeVisible()
  await page.goto('/ui/sending?service=zzzzzzzzzz')
  await expect(page.getByText(/There is none of this name, nor of one like it/)).toBeVisible()
  await page.goto(facts.tenantURL + '/ui/sending?tenant=nobody')
  await expect(page.getByText('Nothing has come for the tenant nobody')).toBeVisible()
  await expectAccessible(page)
})

test('a query that is cancelled or left ends on the node', async ({ page }) => {
  test.setTimeout(90_000)
  const running = async (part: string) => ((await (await page.request.get(facts.largeURL + '/api/queries')).json()) as { queries: { query?: string }[] }).queries.filter((x) => x.query?.includes(part)).length
  await page.goto(facts.largeURL + '/ui/search?q=' + encodeURIComponent('{ name =~ "l.*k" } >> { resource.service.name =~ "deep-9.*" }'))
  await page.getByRole('button', { name: 'Cancel' }).click()
  await expect(page.getByRole('button', { name: 'Run' })).toBeVisible()
  await expect.poll(() => running('deep-9')).toBe(0)
  await page.goto(facts.largeURL + '/ui/compare?q=' + encodeURIComponent('{ }') + '&sel=' + encodeURIComponent('duration > 7ms'))
  await expect.poll(() => running('7ms'), { intervals: [50] }).toBeGreaterThan(0)
  await page.getByRole('link', { name: 'Home' }).click()
  await expect.poll(() => running('7ms')).toBe(0)
})
