import { expect, test } from 'vitest'
import { layOutFlame, placeInLane } from './flame'
import { buildTree, type TraceColumns } from './trace'

function tree(list: { id: number; parent: number; start: number; end: number }[]): TraceColumns {
  const n = list.length
  const raw = {
    count: n, start: BigUint64Array.from(list, (s) => BigInt(s.start)), end: BigUint64Array.from(list, (s) => BigInt(s.end)), id: BigUint64Array.from(list, (s) => BigInt(s.id)), parent: BigUint64Array.from(list, (s) => BigInt(s.parent)),
    name: new Uint32Array(n), service: new Uint16Array(n), kind: new Uint8Array(n), status: new Uint8Array(n), flags: new Uint8Array(n),
  }
  return { ...buildTree(raw), traceID: '', names: [''], services: [''], complete: true, warnings: [], message: '' }
}

test('a span lies below its parent, and no two lie over each other', () => {
  for (let seed = 1; seed <= 100; seed++) {
    let x = seed * 7919
    const r = (n: number) => { x = (x * 1103515245 + 12345) & 0x7fffffff; return (x >> 8) % n }
    const t = tree(Array.from({ length: 1 + r(40) }, (_, i) => { const start = r(100); return { id: i + 1, parent: i === 0 ? 0 : 1 + r(i), start, end: start + r(60) } }))
    const l = layOutFlame(t)
    for (let row = 0; row < t.count; row++) if (t.parent[row] >= 0) expect(l.lane[row]).toBeGreaterThan(l.lane[t.parent[row]])
    const seen = new Set<number>()
    for (let k = 0; k < l.count; k++) {
      for (let i = l.first[k]; i < l.first[k + 1]; i++) {
        seen.add(l.rows[i])
        expect(l.lane[l.rows[i]]).toBe(k)
        if (i > l.first[k]) { const before = l.rows[i - 1]; expect(t.start[before] + t.duration[before]).toBeLessThanOrEqual(t.start[l.rows[i]]) }
      }
      const at = placeInLane(t, l, k, 50)
      for (let i = l.first[k]; i < l.first[k + 1]; i++) expect(t.start[l.rows[i]] >= 50).toBe(i >= at)
    }
    expect(seen.size).toBe(t.count)
  }
})
