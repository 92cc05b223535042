import { expect, test } from 'vitest'
import { buildTree, countBusy, criticalPath, eachStretch, findRows, isOrphan, rootRow, selfTime, selfTimes, sumByName, type Path, type RawSpans, type TraceColumns } from './trace'

interface S { id: number; parent?: number; start: number | bigint; end: number | bigint; kind?: number; status?: number; name?: number }

function tree(list: S[]): TraceColumns & { order: Uint32Array } {
  const raw: RawSpans = {
    count: list.length,
    start: BigUint64Array.from(list, (s) => BigInt(s.start)), end: BigUint64Array.from(list, (s) => BigInt(s.end)),
    id: BigUint64Array.from(list, (s) => BigInt(s.id)), parent: BigUint64Array.from(list, (s) => BigInt(s.parent ?? 0)),
    name: Uint32Array.from(list, (s) => s.name ?? 0), service: new Uint16Array(list.length), kind: Uint8Array.from(list, (s) => s.kind ?? 1),
    status: Uint8Array.from(list, (s) => s.status ?? 0), flags: new Uint8Array(list.length),
  }
  return { ...buildTree(raw), traceID: '', names: ['a', 'b'], services: ['s'], complete: true, warnings: [], message: '' }
}

const stretches = (p: Path) => Array.from(p.row, (row, i) => ({ row, from: p.from[i], to: p.to[i] }))

function random(seed: number): () => number {
  let x = seed * 2654435761 >>> 0 || 1
  return () => { x ^= x << 13; x >>>= 0; x ^= x >>> 17; x ^= x << 5; x >>>= 0; return x / 4294967296 }
}

function randomSpans(seed: number): S[] {
  const r = random(seed)
  const n = 1 + Math.floor(r() * 30)
  return Array.from({ length: n }, (_, i) => {
    const start = 1000 + Math.floor(r() * 100)
    return { id: 1 + Math.floor(r() * n * 1.3), parent: r() < 0.15 ? 0 : 1 + Math.floor(r() * n * 1.3), start, end: start + Math.floor(r() * 100), kind: 1 + Math.floor(r() * 3), name: i % 2 }
  })
}

test('a tree comes before its children, whose subtrees are whole runs', () => {
  for (let seed = 1; seed <= 500; seed++) {
    const list = randomSpans(seed), t = tree(list)
    expect([...t.order].sort((a, b) => a - b)).toEqual(list.map((_, i) => i))
    for (let r = 0; r < t.count; r++) {
      const p = t.parent[r]
      expect(p).toBeLessThan(r)
      expect(t.depth[r]).toBe(p < 0 ? 0 : t.depth[p] + 1)
      if (p >= 0) expect(r + t.size[r]).toBeLessThanOrEqual(p + t.size[p])
      let inside = 1
      for (let k = r + 1; k < t.count; k++) { let q = k; while (q > r) q = t.parent[q]; if (q === r) inside++ }
      expect(t.size[r]).toBe(inside)
    }
    // Children come by start.
    const last = new Map<number, number>()
    for (let r = 0; r < t.count; r++) { const b = last.get(t.parent[r]); if (b !== undefined && t.parent[r] >= 0) expect(t.start[r]).toBeGreaterThanOrEqual(b); last.set(t.parent[r], t.start[r]) }
  }
})

test('a chain of 200,000 spans and a cycle do no harm', () => {
  const chain = tree(Array.from({ length: 200_000 }, (_, i) => ({ id: i + 1, parent: i, start: i, end: 400_000 - i })))
  expect(chain.depth[199_999]).toBe(199_999)
  expect(stretches(criticalPath(chain, 0)).reduce((s, x) => s + x.to - x.from, 0)).toBe(400_000)
  const cycle = tree([{ id: 1, parent: 2, start: 5, end: 9 }, { id: 2, parent: 1, start: 3, end: 9 }, { id: 3, start: 1, end: 2 }])
  expect(cycle.count).toBe(3)
  expect(cycle.odd.cycles).toBe(1)
  expect(tree([{ id: 1, parent: 1, start: 1, end: 2 }]).odd.orphans).toBe(1)
})

test('orphans are named, and the root is the last without a parent', () => {
  const t = tree([{ id: 1, start: 10, end: 20 }, { id: 2, parent: 99, start: 5, end: 8 }, { id: 3, start: 12, end: 13 }])
  expect(t.odd.orphans).toBe(1)
  expect(t.flags[0] & isOrphan).toBe(isOrphan)
  expect(t.order[rootRow(t)]).toBe(2)
})

test('twins: a client and a server that share an id', () => {
  const t = tree([{ id: 1, kind: 3, start: 0, end: 100 }, { id: 1, parent: 1, kind: 2, start: 10, end: 90 }, { id: 2, parent: 1, start: 20, end: 30 }])
  const server = [...t.order].indexOf(1), child = [...t.order].indexOf(2)
  expect(t.order[t.parent[server]]).toBe(0)
  expect(t.parent[child]).toBe(server)
})

test('the critical path covers the root without a gap or an overlap', () => {
  for (let seed = 1; seed <= 500; seed++) {
    const t = tree(randomSpans(seed))
    for (let r = 0; r < t.count; r++) {
      const path = criticalPath(t, r), list = stretches(path)
      let at = t.start[r]
      for (const s of list) { expect(s.from).toBe(at); expect(s.to).toBeGreaterThan(s.from); at = s.to }
      expect(at).toBe(t.start[r] + t.duration[r])
      const byRow: number[][] = []
      for (let k = 0; k < t.count; k++) eachStretch(path, k, (from, to) => byRow.push([k, from, to]))
      expect(byRow).toEqual(list.map((s) => [s.row, s.from, s.to]).sort((x, y) => x[0] - y[0] || x[1] - y[1]))
    }
  }
})

test('the critical path follows the child that ends last', () => {
  const t = tree([{ id: 1, start: 0, end: 100 }, { id: 2, parent: 1, start: 10, end: 40 }, { id: 3, parent: 1, start: 20, end: 90 }, { id: 4, parent: 1, start: 5, end: 15 }])
  expect(stretches(criticalPath(t, 0)).map((s) => [t.order[s.row] + 1, s.from, s.to])).toEqual([[1, 0, 5], [4, 5, 15], [1, 15, 20], [3, 20, 90], [1, 90, 100]])
})

test('self time is what no child covers', () => {
  for (let seed = 1; seed <= 300; seed++) {
    const t = tree(randomSpans(seed)), self = selfTimes(t)
    for (let r = 0; r < t.count; r++) {
      let free = 0
      for (let x = t.start[r]; x < t.start[r] + t.duration[r]; x++) {
        let covered = false
        for (let k = r + 1; k < r + t.size[r]; k++) if (t.parent[k] === r && t.start[k] <= x && x < t.start[k] + t.duration[k]) covered = true
        if (!covered) free++
      }
      expect(self[r]).toBe(free)
      expect(selfTime(t, r)).toBe(free)
    }
    expect(sumByName(t, criticalPath(t, -1), self).reduce((n, l) => n + l.count, 0)).toBe(t.count)
  }
})

test('a strip counts the spans that run in each part of the time', () => {
  for (let seed = 1; seed <= 50; seed++) {
    const t = tree(randomSpans(seed)), b = countBusy(t, 10)
    const width = Math.max(1, t.total) / 10
    for (let i = 0; i < 10; i++) {
      let n = 0
      for (let r = 0; r < t.count; r++) {
        const from = Math.min(9, Math.floor(t.start[r] / width)), to = Math.max(from + 1, Math.ceil((t.start[r] + t.duration[r]) / width))
        if (from <= i && i < to) n++
      }
      expect(b.spans[i]).toBe(n)
    }
  }
})

test('spans are found in a part of their trace, however far they are from its origin', () => {
  const at = 1_796_061_390_123_456_789n
  const late = [{ id: 2, start: at, end: at + 5n }, { id: 2, start: at + 4000n, end: at + 4010n }, { id: 2, start: at, end: at + 5n, kind: 3 }]
  const t = tree([{ id: 1, start: 1, end: 2 }, ...late]), part = tree(late)
  const rows = Array.from({ length: t.count }, (_, r) => r), found = findRows(t, rows, part)
  expect(found.map((k, r) => (k < 0 ? k : [part.kind[k] === t.kind[r], part.duration[k] === t.duration[r]]))).toEqual(rows.map((r) => (t.duration[r] === 1 ? -1 : [true, true])))
})
