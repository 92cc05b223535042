// Reads the answer of compare() and ranks fields by how much they tell the selection from the rest.

import { sampleValue, valueText, type APIValue, type SeriesJSON } from '../api/types'

export interface ValueCount { text: string; value?: APIValue; selection: number; rest: number; /** A side whose list was cut and lacks the value: its count is at most this. */ selectionBound?: number; restBound?: number }
export interface FieldRank { field: string; score: number; tooMany: boolean; values: ValueCount[]; selectionTotal: number; restTotal: number }
export interface Ranking { selection: number; rest: number; fields: FieldRank[] }

interface Side { total: number; counts: Map<string, number> }
const emptySide = (): Side => ({ total: 0, counts: new Map() })

export function rankFields(series: SeriesJSON[]): Ranking {
  const fields = new Map<string, { selection: Side; rest: Side; values: Map<string, APIValue>; tooMany: boolean }>()
  for (const s of series) {
    const labels = s.labels ?? []
    const meta = labels.find((l) => l.key === '__meta_type'), error = labels.find((l) => l.key === '__meta_error')
    const own = labels.find((l) => !l.key.startsWith('__meta'))
    if (!own) continue
    let f = fields.get(own.key)
    if (!f) fields.set(own.key, f = { selection: emptySide(), rest: emptySide(), values: new Map(), tooMany: false })
    if (error) { f.tooMany = true; continue }
    const type = valueText(meta?.value), n = sampleValue(s.value)
    const side = type.startsWith('selection') ? f.selection : f.rest
    if (type.endsWith('_total')) side.total = n
    else { const text = valueText(own.value); side.counts.set(text, n); f.values.set(text, own.value) }
  }
  const name = fields.get('name')
  const out: Ranking = { selection: name?.selection.total ?? 0, rest: name?.rest.total ?? 0, fields: [] }
  for (const [field, f] of fields) {
    const values: ValueCount[] = []
    for (const text of new Set([...f.selection.counts.keys(), ...f.rest.counts.keys()])) {
      values.push({
        text, value: f.values.get(text), selection: f.selection.counts.get(text) ?? 0, rest: f.rest.counts.get(text) ?? 0,
        selectionBound: f.selection.counts.has(text) ? undefined : unlisted(f.selection), restBound: f.rest.counts.has(text) ? undefined : unlisted(f.rest),
      })
    }
    const share = (n: number, of: number) => (of > 0 ? n / of : 0)
    // "not set" and "other" are values too; without them a field that one side lacks would not count.
    const difference = (v: { selection: number; rest: number }) => Math.abs(share(v.selection, out.selection) - share(v.rest, out.rest))
    const missing = { selection: out.selection - f.selection.total, rest: out.rest - f.rest.total }
    const other = { selection: f.selection.total - sum(f.selection), rest: f.rest.total - sum(f.rest) }
    const score = (values.reduce((n, v) => n + difference(v), 0) + difference(missing) + difference(other)) / 2
    values.sort((a, b) => difference(b) - difference(a) || (a.text < b.text ? -1 : 1))
    if (missing.selection > 0 || missing.rest > 0) values.push({ text: '', selection: missing.selection, rest: missing.rest })
    out.fields.push({ field, score, tooMany: f.tooMany, values, selectionTotal: f.selection.total, restTotal: f.rest.total })
  }
  const share = (n: number, of: number) => (of > 0 ? n / of : 0)
  // A field whose every value is rare, such as an id, differs everywhere and explains nothing.
  const weak = (f: FieldRank) => f.values.length > 20 && !f.values.some((v) => v.value !== undefined && Math.max(share(v.selection, out.selection), share(v.rest, out.rest)) >= 0.05)
  out.fields.sort((a, b) => Number(weak(a)) - Number(weak(b)) || b.score - a.score || (a.field < b.field ? -1 : 1))
  return out
}

const sum = (s: Side) => [...s.counts.values()].reduce((n, v) => n + v, 0)

/** What a value that a side does not list can be at most: nothing where the list is whole. */
function unlisted(s: Side): number | undefined {
  if (s.counts.size === 0 || sum(s) >= s.total) return undefined
  return Math.min(...s.counts.values())
}
