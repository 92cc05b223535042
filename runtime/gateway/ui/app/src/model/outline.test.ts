import { expect, test } from 'vitest'
import { OpenTrace } from './opentrace'
import { readOutline } from './outline'
import { packTexts, unpackTexts } from './texts'
import { buildTree, hasEvents, nameOf, serviceOf, spanID, type RawSpans } from './trace'

interface Span { id: bigint; parent: bigint; start: number; duration: number; name: string; service: string; kind: number; status: number; flags: number }

/** Writes an outline as docs/format/outline.md says. */
function writeOutline(spans: Span[]): ArrayBuffer {
  const names = [...new Set(spans.map((s) => s.name))], services = [...new Set(spans.map((s) => s.service))]
  const place = new Map(spans.map((s, i) => [s.id, i]))
  const head = new TextEncoder().encode(JSON.stringify({ traceId: 'ab'.repeat(16), spans: spans.length, startUnixNano: '1000000000000000000', otlpBytes: 77, complete: false, warnings: ['a block'], services, names }))
  const length = Math.ceil(head.length / 8) * 8, n = spans.length
  const round = (bytes: number) => Math.ceil(bytes / 8) * 8
  const out = new ArrayBuffer(8 + length + 3 * 8 * n + 2 * round(4 * n) + round(2 * n) + round(n))
  const v = new DataView(out)
  new Uint8Array(out).set(new TextEncoder().encode('TRO1'))
  new Uint8Array(out).fill(32, 8, 8 + length).set(head, 8)
  v.setUint32(4, length, true)
  let at = 8 + length
  const column = (width: number, write: (at: number, s: Span) => void) => { spans.forEach((s, i) => write(at + i * width, s)); at += round(width * n) }
  column(8, (p, s) => v.setFloat64(p, s.start, true))
  column(8, (p, s) => v.setFloat64(p, s.duration, true))
  column(8, (p, s) => v.setBigUint64(p, s.id, true))
  column(4, (p, s) => v.setUint32(p, s.parent === 0n ? 0xffffffff : place.get(s.parent) ?? 0xfffffffe, true))
  column(4, (p, s) => v.setUint32(p, names.indexOf(s.name), true))
  column(2, (p, s) => v.setUint16(p, services.indexOf(s.service), true))
  column(1, (p, s) => v.setUint8(p, s.kind | s.status << 3 | s.flags << 5))
  return out
}

function randomSpans(seed: number): Span[] {
  let x = seed * 2654435761 >>> 0 || 1
  const r = () => { x ^= x << 13; x >>>= 0; x ^= x >>> 17; x ^= x << 5; x >>>= 0; return x / 4294967296 }
  const n = 1 + Math.floor(r() * 40)
  return Array.from({ length: n }, (_, i) => ({
    id: BigInt(i + 1) << 33n | 5n, parent: i === 0 ? 0n : r() < .1 ? 999n : BigInt(1 + Math.floor(r() * n)) << 33n | 5n, start: Math.floor(r() * 100), duration: Math.floor(r() * 50) - 2,
    name: `n${Math.floor(r() * 5)}`, service: `s${Math.floor(r() * 3)}`, kind: Math.floor(r() * 6), status: Math.floor(r() * 3), flags: Math.floor(r() * 4),
  })).sort((a, b) => a.start - b.start || (a.id < b.id ? -1 : 1)).map((s, _, all) => ({ ...s, start: s.start - all[0].start, parent: s.parent === s.id ? 999n : s.parent }))
}

test('an outline gives the columns that the whole trace gives', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const spans = randomSpans(seed), origin = 1_000_000_000_000_000_000n
    const names = [...new Set(spans.map((s) => s.name))], services = [...new Set(spans.map((s) => s.service))]
    const raw: RawSpans = {
      count: spans.length, start: BigUint64Array.from(spans, (s) => origin + BigInt(s.start)), end: BigUint64Array.from(spans, (s) => origin + BigInt(s.start + s.duration)),
      id: BigUint64Array.from(spans, (s) => s.id), parent: BigUint64Array.from(spans, (s) => s.parent), name: Uint32Array.from(spans, (s) => names.indexOf(s.name)),
      service: Uint16Array.from(spans, (s) => services.indexOf(s.service)), kind: Uint8Array.from(spans, (s) => s.kind), status: Uint8Array.from(spans, (s) => s.status), flags: Uint8Array.from(spans, (s) => s.flags),
    }
    const { order, ...tree } = buildTree(raw), o = readOutline(writeOutline(spans))
    expect(o.order).toEqual(order)
    expect(o.columns).toEqual({ ...tree, traceID: 'ab'.repeat(16), names, services, complete: false, warnings: ['a block'], message: '' })
    expect(o.otlpBytes).toBe(77)
    for (let r = 0; r < tree.count; r++) expect([spanID(o.columns, r), nameOf(o.columns, r), serviceOf(o.columns, r)]).toEqual([spans[order[r]].id.toString(16).padStart(16, '0'), spans[order[r]].name, spans[order[r]].service])
  }
})

test('every cut of an outline is refused', () => {
  const whole = writeOutline(randomSpans(3))
  for (let n = 0; n < whole.byteLength; n++) expect(() => readOutline(whole.slice(0, n))).toThrow()
})

test('spans of an outline are found by name, service, id, mark and place', () => {
  const spans: Span[] = [
    { id: 0xabcdn, parent: 0n, start: 0, duration: 100, name: 'Pay', service: 'shop', kind: 2, status: 0, flags: 0 },
    { id: 2n, parent: 0xabcdn, start: 1, duration: 9, name: 'late', service: 'bank', kind: 3, status: 2, flags: hasEvents },
    { id: 3n, parent: 0xabcdn, start: 1, duration: 60, name: 'early', service: 'bank', kind: 3, status: 0, flags: 2 },
  ]
  const o = new OpenTrace(writeOutline(spans), 'outline')
  const rows = (text: string) => [...o.find(text).rows]
  expect([rows('pay'), rows('BANK'), rows('abcd'), rows('nothing')]).toEqual([[1, 0, 0], [0, 1, 1], [1, 0, 0], [0, 0, 0]])
  expect([rows('is:error'), rows('is:link'), rows('is:path'), rows('is:slow')]).toEqual([[0, 1, 0], [0, 0, 1], [1, 0, 1], [1, 0, 0]])
  expect(() => o.find('is:nonsense')).toThrow('There is no mark is:nonsense')
  expect([...o.rowsOf(Uint32Array.of(2)).rows]).toEqual([0, 0, 1])
  expect(o.detail(0)).toBeUndefined()
})

test('many texts pass as one piece of memory', () => {
  for (const n of [3, 9000]) {
    const list = Array.from({ length: n }, (_, i) => `käse ${i} ${'x'.repeat(i % 90)}`), p = unpackTexts(packTexts(list))
    expect(p.length).toBe(n)
    for (let i = 0; i < n; i++) expect(p.at(i)).toBe(list[i])
    expect(p.at(n)).toBeUndefined()
  }
})
