import { expect, facts, test } from './kit'

test.describe('with tenants', () => {
  test.use({ allowed: [/401/] })
  test('the tenant is asked for, and several may be named', async ({ page }) => {
    await page.goto(facts.tenantURL + '/ui/')
    await expect(page.getByRole('heading', { name: 'Whose traces?' })).toBeVisible()
    await page.locator('form').getByLabel('Tenant').last().fill('a')
    await page.getByRole('button', { name: 'Show' }).click()
    await expect(page).toHaveURL(/tenant=a/)
    await expect(page.getByRole('row', { name: /service-of-a/ })).toBeVisible()
    await page.goto(facts.tenantURL + '/ui/search?tenant=a%7Cb')
    await expect(page.locator('tbody tr.link')).toHaveCount(2)
  })
})

test('behind a proxy with a path of its own', async ({ page }) => {
  await page.goto(facts.prefixURL + '/tracing/ui/search')
  await expect(page.locator('tbody tr.link').first()).toBeVisible()
  await page.locator('tbody tr.link').first().click()
  await expect(page).toHaveURL(/\/tracing\/ui\/trace\//)
  await expect(page.getByRole('row').first()).toBeVisible()
})
