import { expect, expectAccessible, test } from './kit'

test('the node tells of its partitions and blocks', async ({ page }) => {
  await page.goto('/ui/node')
  await expect(page.getByRole('region', { name: 'Partitions' }).getByRole('row').nth(1)).toBeVisible()
  await expectAccessible(page)
  await page.getByRole('link', { name: 'Blocks' }).click()
  await expect(page.getByRole('region', { name: 'Blocks' })).toBeVisible()
  await expectAccessible(page)
})
