import { expect, test } from 'vitest'
import { addTraces, emptyTail, mostKept, rateOf, resume } from './tail'

interface T { traceID: string; n: number }
const traces = (...ids: string[]): T[] => ids.map((traceID, n) => ({ traceID, n }))
const ids = (rows: T[]) => rows.map((t) => t.traceID).join('')

test('the newest come first, each trace once', () => {
  let s = addTraces(emptyTail<T>(), traces('a', 'b'), 0, 1000, false)
  s = addTraces(s, [{ traceID: 'a', n: 9 }, { traceID: 'c', n: 0 }], 3, 1500, false)
  expect([ids(s.rows), s.rows[2].n, s.came, s.dropped]).toEqual(['cba', 9, 4, 3])
})

test('a pause holds what is shown, and nothing is lost', () => {
  let s = addTraces(emptyTail<T>(), traces('a'), 0, 1000, false)
  s = addTraces(s, traces('b', 'c'), 0, 2000, true)
  s = addTraces(s, traces('d'), 0, 3000, true)
  expect([ids(s.rows), ids(s.waiting)]).toEqual(['a', 'dcb'])
  s = resume(s)
  expect([ids(s.rows), s.waiting.length]).toEqual(['dcba', 0])
})

test('a thousand are kept', () => {
  const s = addTraces(emptyTail<T>(), Array.from({ length: 1500 }, (_, n) => ({ traceID: String(n), n })), 0, 0, false)
  expect([s.rows.length, s.rows[0].n, s.came]).toEqual([mostKept, 1499, 1500])
})

test('the rate is that of the last ten seconds', () => {
  let s = emptyTail<T>()
  for (let t = 0; t < 30; t++) s = addTraces(s, traces('a', 'b'), 0, 1000 * t, false)
  expect([rateOf(s, 29_000), rateOf(s, 34_500), rateOf(s, 60_000)]).toEqual([2, 1, 0])
})
