import { expect, test } from 'vitest'
import { formatBytes, formatCount, formatDuration, formatPercent, formatTime, showText } from './format'

test.each([
  [0, '0 ns'], [999, '999 ns'], [1500, '1.5 µs'], [1_000_000, '1 ms'], [12_345_678, '12.3 ms'], [123_456_789, '123 ms'], [1.5e9, '1.5 s'],
  [59.96e9, '60 s'], [60e9, '1 min'], [200e9, '3 min 20 s'], [7500e9, '2 h 5 min'], [200_000e9, '2 d 8 h'], [-1_000_000, '−1 ms'], [NaN, '–'],
])('duration of %d ns', (ns, want) => expect(formatDuration(ns)).toBe(want))

test('counts, bytes, shares', () => {
  expect(formatCount(1234567)).toBe('1\u202f234\u202f567')
  expect([formatBytes(1023), formatBytes(1536), formatBytes(5 << 20)]).toEqual(['1023 B', '1.5 KiB', '5 MiB'])
  expect([formatPercent(0), formatPercent(0.0001), formatPercent(0.071), formatPercent(0.5)]).toEqual(['0 %', '< 0.1 %', '7.1 %', '50 %'])
})

test('times have a zone', () => {
  expect(formatTime(1_700_000_000_123, 'UTC')).toBe('2023-11-14 22:13:20.123')
  expect(formatTime(1_700_000_000_123, 'Asia/Tokyo')).toBe('2023-11-15 07:13:20.123')
  expect(formatTime(NaN, 'UTC')).toBe('–')
})

test('text that moves the cursor or turns the direction is shown as signs', () => {
  expect(showText('a\nb\u202ec\u0000\u200b')).toBe('a↵b\\u202ec␀\\u200b')
})
