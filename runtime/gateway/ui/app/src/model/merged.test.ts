import { expect, test } from 'vitest'
import { mergePaths } from './merged'
import { buildTree, type TraceColumns } from './trace'

/** Spans as [id, parent, name, start, end]. */
function tree(list: [number, number, string, number, number][]): TraceColumns {
  const names = [...new Set(list.map((s) => s[2]))], n = list.length
  const place = new Map(names.map((name, i) => [name, i]))
  return {
    ...buildTree({
      count: n, start: BigUint64Array.from(list, (s) => BigInt(s[3])), end: BigUint64Array.from(list, (s) => BigInt(s[4])), id: BigUint64Array.from(list, (s) => BigInt(s[0])), parent: BigUint64Array.from(list, (s) => BigInt(s[1])),
      name: Uint32Array.from(list, (s) => place.get(s[2])!), service: new Uint16Array(n), kind: new Uint8Array(n), status: new Uint8Array(n), flags: new Uint8Array(n),
    }), traceID: '', names, services: ['s'], complete: true, warnings: [], message: '',
  }
}

test('equal paths are joined, the widest first', () => {
  const m = mergePaths(tree([[1, 0, 'root', 0, 100], [2, 1, 'a', 0, 10], [3, 1, 'b', 10, 40], [4, 1, 'a', 50, 55], [5, 4, 'b', 50, 54], [6, 2, 'b', 1, 2]]))
  expect(m.nodes.map((n) => [n.name, n.parent, n.depth, n.count, n.total, n.self])).toEqual([['root', -1, 0, 1, 100, 55], ['b', 0, 1, 1, 30, 30], ['a', 0, 1, 2, 15, 10], ['b', 2, 2, 2, 5, 5]])
  expect(m.leftOut).toBe(0)
})

test('a chain of 20,000 names and many siblings do no harm', () => {
  const chain = mergePaths(tree(Array.from({ length: 20_000 }, (_, i) => [i + 1, i, `n${i}`, i, 40_000 - i])))
  expect(chain.nodes.length + chain.leftOut).toBe(20_000)
  expect(chain.nodes.length).toBeLessThanOrEqual(5000)
  const wide = mergePaths(tree([[1, 0, 'root', 0, 1_000_000], ...Array.from({ length: 30_000 }, (_, i): [number, number, string, number, number] => [i + 2, 1, `n${i}`, i, i + 1])]))
  expect(wide.nodes.length + wide.leftOut).toBe(30_001)
})
