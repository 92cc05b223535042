import { expect, expectAccessible, facts, runQuery, test } from './kit'

test('the first page shows the services and opens what is pasted', async ({ page }) => {
  await page.goto('/')
  await expect(page).toHaveURL(/\/ui\/$/)
  await expect(page.getByRole('row', { name: /payment/ })).toBeVisible()
  await expectAccessible(page)
  const field = page.locator('#query')
  for (const text of [facts.errorTrace, `00-${facts.errorTrace}-00f067aa0ba902b7-01`, `${facts.errorTrace}:00f067aa0ba902b7:0:1`, `b3: ${facts.errorTrace}-00f067aa0ba902b7-1`, `level=error trace_id=${facts.errorTrace} msg="x"`]) {
    await field.fill(text)
    await expect(page.getByText('Trace ' + facts.errorTrace)).toBeVisible()
  }
  await field.press('Enter')
  await expect(page).toHaveURL(new RegExp(`/trace/${facts.errorTrace}`))
  await expect(page.getByRole('heading', { level: 1 })).toContainText('POST /checkout')
})

test('a search streams, narrows, sorts and leads into a trace that is filtered by it', async ({ page }) => {
  await page.goto('/ui/search')
  await runQuery(page, '{ status = error }')
  await expect(page).toHaveURL(/q=/)
  const rows = page.locator('tbody tr.link')
  await expect(rows.first()).toBeVisible()
  await expectAccessible(page)
  await page.getByRole('button', { name: 'Duration' }).click()
  await expect(page).toHaveURL(/sort=duration-/)
  const times = await page.getByRole('region', { name: 'Results' }).locator('tbody tr td:nth-child(3)').allInnerTexts()
  const ms = times.slice(0, 10).map((t) => parseFloat(t.replace(/\s.*/, '')) * (/ s$/.test(t) ? 1000 : 1))
  expect([...ms].sort((a, b) => b - a)).toEqual(ms)
  await page.getByRole('button', { name: 'service.name' }).click()
  await page.locator('.facet-row', { hasText: 'payment' }).click()
  await expect(page).toHaveURL(/service\.name\+%3D\+%22payment%22|service.name.*payment/)
  await rows.first().click()
  await expect(page).toHaveURL(/\/trace\//)
  await expect(page.getByRole('status').filter({ hasText: / of \d/ })).toBeVisible()
  await page.goBack()
  await expect(rows.first()).toBeVisible()
})

test('the waterfall: spans, keys, filter, critical path, tables, download', async ({ page }) => {
  await page.goto(`/ui/trace/${facts.errorTrace}`)
  const rows = page.getByRole('treegrid').getByRole('row')
  await expect(rows.first()).toBeVisible()
  const all = await rows.count()
  expect(all).toBeGreaterThan(3)
  await page.keyboard.press('e')
  await expect(page.getByRole('complementary', { name: 'Span' })).toBeVisible()
  await expect(page).toHaveURL(/span=[0-9a-f]{16}/)
  await expectAccessible(page)
  await page.keyboard.press('u')
  await page.keyboard.press('Escape')
  await expect(page.getByRole('complementary', { name: 'Span' })).toHaveCount(0)
  await rows.first().click()
  await page.keyboard.press('ArrowLeft')
  await expect(rows).toHaveCount(1)
  await page.keyboard.press('ArrowRight')
  await expect(rows).toHaveCount(all)
  await page.getByRole('searchbox', { name: 'Filter in the trace' }).fill('payment')
  await page.keyboard.press('Enter')
  await expect(page.getByRole('status').filter({ hasText: / of \d/ })).toBeVisible()
  await page.getByRole('button', { name: 'Only these' }).click()
  await expect(page).toHaveURL(/fm=only/)
  for (const view of ['Critical path', 'Operations', 'Events']) {
    await page.getByRole('group', { name: 'View' }).getByRole('button', { name: view }).click()
    await expect(page.locator('.trace-body table').first()).toBeVisible()
    await expectAccessible(page)
  }
  await page.getByRole('button', { name: 'More …' }).click()
  const [file] = await Promise.all([page.waitForEvent('download'), page.getByRole('menuitem', { name: 'OTLP JSON' }).click()])
  expect(file.suggestedFilename()).toBe(`trace-${facts.errorTrace}.json`)
})

test('an address shows the same in another browser', async ({ page, browser }) => {
  await page.goto('/ui/search?q=' + encodeURIComponent('{ kind = server }') + '&from=now-1h&to=now&sort=duration-&view=spans')
  await expect(page.getByRole('region', { name: 'Results' }).locator('tbody tr').first()).toBeVisible()
  await page.keyboard.press('s')
  const text = page.getByRole('dialog', { name: 'Copy' }).locator('textarea')
  const url = (await text.count()) > 0 ? await text.inputValue() : await page.evaluate(() => navigator.clipboard.readText().catch(() => location.href))
  const other = await (await browser.newContext()).newPage()
  await other.goto(url)
  await expect(other.getByRole('region', { name: 'Results' }).locator('tbody tr').first()).toBeVisible()
  await expect(other.getByRole('button', { name: 'Spans' })).toHaveAttribute('aria-pressed', 'true')
  await other.context().close()
})

test('completion, the place of an error, and the form that writes the same text', async ({ page }) => {
  await page.goto('/ui/search')
  const editor = page.locator('.cm-content')
  await editor.click()
  await page.keyboard.type('{ resource.service.n', { delay: 20 })
  await expect(page.locator('.cm-tooltip-autocomplete li').first()).toContainText('resource.service.name')
  await page.waitForTimeout(200) // a completion that has just appeared does not take keys yet
  await page.keyboard.press('Tab')
  await page.keyboard.type('= ')
  await page.keyboard.press('Control+Space')
  await expect(page.locator('.cm-tooltip-autocomplete li', { hasText: 'payment' })).toBeVisible()
  await page.keyboard.press('Escape')
  await runQuery(page, '{ status = error }')
  await expect(page.getByLabel('Status')).toHaveValue('error')
  await page.getByLabel('Status').selectOption('ok')
  await expect(editor).toHaveText('{ status = ok }')
})

test('an error is marked while one types', async ({ page }) => {
  await page.goto('/ui/search')
  await page.locator('.cm-content').click()
  await page.keyboard.type('{ status = error && }')
  await page.keyboard.press('Escape')
  await expect(page.locator('.cm-lintRange-error, .cm-lintPoint-error').first()).toBeVisible()
  await page.keyboard.press('ControlOrMeta+a')
  await page.keyboard.press('Backspace')
  await page.keyboard.type('{ status = error }')
  await expect(page.locator('.cm-lintRange-error, .cm-lintPoint-error')).toHaveCount(0)
})

test.describe('errors of the server', () => {
  test.use({ allowed: [/400/] })
  test('are marked where they are', async ({ page }) => {
    await page.goto('/ui/search')
    await runQuery(page, '{ status = }')
    await expect(page.getByRole('alert')).toContainText('line 1')
    await expect(page.locator('.cm-lintRange-error, .cm-lintPoint-error').first()).toBeVisible()
    await expectAccessible(page)
  })
})

test('metrics as lines with a table', async ({ page }) => {
  await page.goto('/ui/search')
  await runQuery(page, '{ kind = server } | rate() by (resource.service.name)')
  await expect(page.getByRole('heading', { name: /\d series/ })).toBeVisible()
  await expect(page.locator('.uplot canvas')).toBeVisible()
  await expectAccessible(page)
})

test('nothing found leads on', async ({ page }) => {
  await page.goto('/ui/search?q=' + encodeURIComponent('{ resource.service.name = "web" && name = "no such thing" }'))
  await expect(page.getByText('No spans match in this range')).toBeVisible()
  await expectAccessible(page)
  await page.getByRole('button', { name: 'Drop the last condition' }).click()
  await expect(page.locator('tbody tr.link').first()).toBeVisible()
})

test('explain and node', async ({ page }) => {
  await page.goto('/ui/explain?q=' + encodeURIComponent('{ .http.route = "/orders" }'))
  await expect(page.getByText('is looked for in spans and in resources')).toBeVisible()
  await expectAccessible(page)
  await page.goto('/ui/node')
  await expect(page.getByRole('row', { name: /live-store/ }).first()).toBeVisible()
  await expectAccessible(page)
  await page.getByRole('link', { name: 'Running queries' }).click()
  await expect(page.getByText('No query is running')).toBeVisible()
  await page.getByRole('link', { name: 'Promise' }).click()
  await expect(page.getByText('survives kill -9')).toBeVisible()
})

test('keys alone: from a search to a span', async ({ page }) => {
  await page.goto('/ui/')
  await expect(page.getByRole('row', { name: /payment/ })).toBeVisible()
  await page.locator('#query').blur()
  await page.keyboard.press('g')
  await page.keyboard.press('s')
  await expect(page).toHaveURL(/\/ui\/search/)
  await expect(page.locator('tbody tr.link').first()).toBeVisible()
  await page.keyboard.press('j')
  await page.keyboard.press('Enter')
  await expect(page).toHaveURL(/\/trace\//)
  await expect(page.getByRole('row').first()).toBeVisible()
  await page.keyboard.press('j')
  await page.keyboard.press('j')
  await expect(page).toHaveURL(/span=/)
  await page.keyboard.press('?')
  await expect(page.getByRole('dialog', { name: 'Keys' })).toBeVisible()
})

test.describe('a trace that is not there', () => {
  test('is said, with what may be the reason', async ({ page }) => {
    await page.goto('/ui/trace/00000000000000000000000000000abc')
    await expect(page.getByText('There is no trace with this id')).toBeVisible()
    await expectAccessible(page)
  })
})

test('hostile texts are text', async ({ page }) => {
  await page.goto(`/ui/trace/${facts.hostileTrace}`)
  await expect(page.getByRole('row').first()).toBeVisible()
  await page.keyboard.press('j')
  await expect(page.getByRole('complementary', { name: 'Span' })).toBeVisible()
  await expect(page.getByRole('complementary', { name: 'Span' })).toContainText('<script>')
  expect(await page.evaluate(() => (window as unknown as { hacked?: boolean }).hacked)).toBeUndefined()
  for (const view of ['Critical path', 'Operations', 'Events', 'Waterfall']) await page.getByRole('group', { name: 'View' }).getByRole('button', { name: view }).click()
  await page.goto('/ui/search?q=' + encodeURIComponent('{ resource.service.name =~ ".*script.*" }'))
  await expect(page.locator('tbody tr.link').first()).toBeVisible()
})

for (const width of [1400, 800, 320]) {
  test(`nothing is wider than a screen of ${width}`, async ({ page }) => {
    await page.setViewportSize({ width, height: 800 })
    for (const path of ['', 'search', `trace/${facts.errorTrace}`, 'explain', 'node']) {
      await page.goto('/ui/' + path)
      await page.waitForTimeout(500)
      expect(await page.evaluate(() => document.documentElement.scrollWidth - document.documentElement.clientWidth), path).toBeLessThanOrEqual(0)
    }
  })
}
