import { expect, expectAccessible, facts, test } from './kit'

test.describe('a tail', () => {
  test.use({ allowed: [/ERR_|Failed to load resource/] }) // while the node is away
  test('shows traces as they come, can pause, and goes on after the node was started again', async ({ page, request }) => {
    test.setTimeout(150_000)
    const send = async (service: string) => expect((await request.post(`${facts.controlURL}/send?service=${service}`)).status()).toBe(200)
    const row = (service: string) => page.getByRole('row', { name: new RegExp(service) })
    await page.goto(facts.followedURL + '/ui/tail')
    await expect(page.getByRole('status').filter({ hasText: 'following' })).toBeVisible({ timeout: 30_000 })
    await send('first')
    await expect(row('first')).toBeVisible()
    await expectAccessible(page)
    await page.getByRole('button', { name: 'Pause' }).click()
    await send('second')
    await expect(page.getByRole('button', { name: /Go on \(1 new\)/ })).toBeVisible()
    await expect(row('second')).toHaveCount(0)
    await page.getByRole('button', { name: /Go on/ }).click()
    await expect(row('second')).toBeVisible()
    const restarted = request.post(`${facts.controlURL}/restart`, { timeout: 90_000 })
    await expect(page.getByText(/The connection is lost/)).toBeVisible({ timeout: 30_000 })
    await restarted
    await expect(page.getByRole('status').filter({ hasText: 'following' })).toBeVisible({ timeout: 60_000 })
    await send('third')
    await expect(row('third')).toBeVisible()
    await expect(row('first')).toBeVisible()
    await row('third').click()
    await expect(page.getByRole('treegrid').getByRole('row')).toHaveCount(1)
  })
})

test.describe('a tail of a wrong query', () => {
  test.use({ allowed: [/400/] })
  test('says what is wrong', async ({ page }) => {
    await page.goto(facts.followedURL + '/ui/tail?q=' + encodeURIComponent('{ status = }'))
    await expect(page.getByRole('alert')).toContainText('line 1')
    await expectAccessible(page)
  })
})
