import { expect, expectAccessible, facts, runQuery, test } from './kit'

test('an injected slow version is the first thing that a box around slow spans shows, and leads to its traces', async ({ page }) => {
  await page.goto('/ui/')
  await page.getByRole('link', { name: 'Services' }).first().click()
  await page.getByRole('link', { name: 'catalog' }).click()
  await expect(page.getByRole('heading', { level: 1 })).toContainText('catalog')
  await expectAccessible(page)
  await page.getByRole('link', { name: 'Compare' }).last().click()
  const map = page.getByTestId('heatmap')
  await expect(map).toBeVisible()
  const box = (await map.boundingBox())!
  await page.mouse.move(box.x + 75, box.y + 2)
  await page.mouse.down()
  await page.mouse.move(box.x + box.width - 2, box.y + 60, { steps: 4 })
  await page.mouse.up()
  await expect(page).toHaveURL(/sel=duration/)
  const first = page.locator('.ranked-field').first()
  await expect(first).toContainText('version')
  await expect(first.locator('.ranked-value').first()).toContainText(/2\.0\.1-slow|1\.9/)
  await expectAccessible(page)
  await first.locator('.ranked-value', { hasText: '2.0.1-slow' }).click()
  await page.getByRole('menuitem', { name: 'Show traces of the selection' }).click()
  await page.locator('tbody tr.link').first().click()
  await page.getByRole('group', { name: 'View' }).getByRole('button', { name: 'Critical path' }).click()
  await expect(page.locator('.trace-body tbody tr').first()).toContainText('read shelf')
})

test('two traces side by side', async ({ page }) => {
  await page.goto('/ui/search')
  await runQuery(page, '{ name = "POST /checkout" }')
  const boxes = page.getByRole('checkbox')
  await expect(boxes.first()).toBeVisible()
  await boxes.nth(0).check()
  await boxes.nth(1).check()
  await page.getByRole('link', { name: 'Diff the two marked traces' }).click()
  await expect(page).toHaveURL(/\/diff\//)
  await expect(page.getByText(/of the spans matched/)).toBeVisible()
  await expectAccessible(page)
})

test('is my service sending', async ({ page }) => {
  await page.goto('/ui/sending')
  await page.getByLabel('Name of the service').fill('paymnt')
  await page.getByRole('button', { name: 'Check' }).click()
  await expect(page.getByText('Is it one of these?')).toBeVisible()
  await expectAccessible(page)
  await page.getByRole('link', { name: 'payment' }).click()
  await expect(page.getByText(/payment: .* spans in the last hour/)).toBeVisible()
})

test('a file is shown without a request', async ({ page }) => {
  await page.goto('/ui/file')
  await expect(page.getByText('Drop a file with traces here')).toBeVisible()
  await expectAccessible(page)
  const requests: string[] = []
  page.on('request', (r) => { if (!r.url().startsWith('blob:') && !r.url().includes('/assets/')) requests.push(r.url()) })
  const trace = { resourceSpans: [{ resource: { attributes: [{ key: 'service.name', value: { stringValue: 'local' } }] }, scopeSpans: [{ spans: [
    { traceId: '0102030405060708090a0b0c0d0e0f10', spanId: '00000000000000aa', name: 'from a file', startTimeUnixNano: '1000', endTimeUnixNano: '9000000' }] }] }] }
  await page.locator('input[type=file]').setInputFiles({ name: 'trace.json', mimeType: 'application/json', buffer: Buffer.from(JSON.stringify(trace)) })
  await expect(page.getByRole('treegrid').getByRole('row')).toHaveCount(1)
  await expect(page.getByRole('heading', { name: 'from a file' })).toBeVisible()
  expect(requests).toEqual([])
  await page.locator('input[type=file]').setInputFiles({ name: 'no.json', mimeType: 'application/json', buffer: Buffer.from('{"a":1}') })
  await expect(page.getByRole('alert')).toContainText('of no form that is known')
})

test('the flame shows the same spans', async ({ page }) => {
  await page.goto(`/ui/trace/${facts.errorTrace}?view=flame`)
  await expect(page.locator('.trace-body canvas')).toBeVisible()
  await page.locator('.trace-body canvas').click({ position: { x: 40, y: 8 } })
  await expect(page.getByRole('complementary', { name: 'Span' })).toBeVisible()
})
