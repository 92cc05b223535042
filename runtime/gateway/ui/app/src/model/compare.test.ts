import { expect, test } from 'vitest'
import { rankFields } from './compare'
import type { SeriesJSON } from '../api/types'

const series = (type: string, field: string, value: string, n: number): SeriesJSON => ({ labels: [{ key: '__meta_type', value: { stringValue: type } }, { key: field, value: { stringValue: value } }], value: n })

test('fields that differ come first, with what is not set', () => {
  const r = rankFields([
    series('selection_total', 'name', 'nil', 100), series('baseline_total', 'name', 'nil', 1000), series('selection', 'name', 'a', 50), series('selection', 'name', 'b', 50), series('baseline', 'name', 'a', 500), series('baseline', 'name', 'b', 500),
    series('selection_total', 'span.version', 'nil', 100), series('baseline_total', 'span.version', 'nil', 1000), series('selection', 'span.version', '2', 90), series('selection', 'span.version', '1', 10), series('baseline', 'span.version', '1', 1000),
    series('selection_total', 'span.retry', 'nil', 50), series('baseline_total', 'span.retry', 'nil', 0), series('selection', 'span.retry', 'true', 50),
  ])
  expect([r.selection, r.rest]).toEqual([100, 1000])
  expect(r.fields.map((f) => [f.field, Number(f.score.toFixed(3))])).toEqual([['span.version', 0.9], ['span.retry', 0.5], ['name', 0]])
  expect(r.fields[1].values.map((v) => [v.text, v.selection, v.rest])).toEqual([['true', 50, 0], ['', 50, 1000]])
})

test('a value that a cut list lacks has a bound', () => {
  const r = rankFields([
    series('selection_total', 'name', 'nil', 10), series('baseline_total', 'name', 'nil', 10), series('selection', 'name', 'a', 10), series('baseline', 'name', 'a', 10),
    series('selection_total', 'span.id', 'nil', 10), series('baseline_total', 'span.id', 'nil', 1000), series('baseline', 'span.id', 'x', 5), series('baseline', 'span.id', 'y', 3), series('selection', 'span.id', 'z', 0),
    { labels: [{ key: '__meta_error', value: { stringValue: '__too_many_values__' } }, { key: 'span.id', value: { stringValue: 'nil' } }] },
  ])
  const ids = r.fields.find((f) => f.field === 'span.id')!
  expect(ids.tooMany).toBe(true)
  expect(ids.values.find((v) => v.text === 'z')!.restBound).toBe(3)
})

test('a field whose every value is rare goes last', () => {
  const all: SeriesJSON[] = [series('selection_total', 'name', 'nil', 100), series('baseline_total', 'name', 'nil', 100), series('selection', 'name', 'a', 60), series('selection', 'name', 'b', 40), series('baseline', 'name', 'a', 50), series('baseline', 'name', 'b', 50), series('selection_total', 'span.id', 'nil', 100)]
  for (let i = 0; i < 100; i++) all.push(series('selection', 'span.id', `id${i}`, 1))
  expect(rankFields(all).fields.map((f) => f.field)).toEqual(['name', 'span.id'])
})
