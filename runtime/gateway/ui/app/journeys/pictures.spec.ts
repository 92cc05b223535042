import { expect, test } from './kit'

// The pictures of the README. They are taken only when TROUPE_UI_PICTURES names a folder for them.
const folder = process.env.TROUPE_UI_PICTURES

test('pictures @pictures', async ({ page }) => {
  await page.setViewportSize({ width: 1280, height: 760 })
  await page.goto('/ui/compare?from=now-15m&to=now&sel=' + encodeURIComponent('status = error'))
  await expect(page.locator('.ranked-field').first()).toBeVisible()
  await page.waitForTimeout(500)
  await page.screenshot({ path: `${folder}/compare.png` })
  await page.goto('/ui/search?q=' + encodeURIComponent('{ name = "POST /checkout" && status = error }'))
  await page.locator('tbody tr.link').first().click()
  await page.waitForURL(/trace/)
  await page.goto(page.url().replace(/[?&]f=[^&]*/, ''))
  await page.getByRole('row', { name: /payment/ }).last().click()
  await page.waitForTimeout(500)
  await page.screenshot({ path: `${folder}/trace.png` })
})
