import { expect, test } from 'vitest'
import { absoluteRange, boundsOf, isRange, nameRange, rangeParams, shiftRange, widenRange } from './range'

const now = Date.parse('2026-11-30T10:00:00Z')

test('relative ranges are left to the clock of the server', () => {
  expect(rangeParams({ from: 'now-15m', to: 'now' }, now)).toEqual({ since: '15m' })
  expect(rangeParams({ from: 'now-7d', to: 'now' }, now)).toEqual({ since: '168h' })
  expect(rangeParams({ from: '2026-11-30T09:00:00Z', to: '2026-11-30T09:30:00Z' }, now)).toEqual({ start: String(now / 1000 - 3600), end: String(now / 1000 - 1800) })
})

test('ranges move and grow', () => {
  expect(shiftRange({ from: 'now-1h', to: 'now' }, -0.5, now)).toEqual({ from: '2026-11-30T08:30:00Z', to: '2026-11-30T09:30:00Z' })
  expect(widenRange({ from: 'now-1h', to: 'now' }, now)).toEqual({ from: 'now-2h', to: 'now' })
  expect(boundsOf(absoluteRange(now - 1234, now), now)).toEqual([now - 1234, now])
})

test('what is no range is refused', () => {
  expect(isRange({ from: 'now-1h', to: 'now' })).toBe(true)
  for (const r of [{ from: '', to: '' }, { from: 'now', to: 'now-1h' }, { from: 'yesterday', to: 'now' }]) expect(isRange(r)).toBe(false)
})

test('ranges have names', () => {
  const write = (ms: number) => new Date(ms).toISOString()
  expect(nameRange({ from: 'now-1h', to: 'now' }, write)).toBe('Last hour')
  expect(nameRange({ from: 'now-2h', to: 'now' }, write)).toBe('Last 2 hours')
})
