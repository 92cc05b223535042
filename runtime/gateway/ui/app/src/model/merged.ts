// A trace with equal paths joined: spans of one service and name below one parent become one node.

import { selfTimes, statusError, type TraceColumns } from './trace'

/** A node of joined spans. Nodes come as rows of a trace do: one before its children, the widest first. */
export interface MergedNode { service: string; name: string; parent: number; depth: number; count: number; errors: number; total: number; self: number; /** the longest of its spans, a row */ row: number }
export interface Merged { nodes: MergedNode[]; leftOut: number }

const mostNodes = 5000

/** Joins equal paths. Above 5,000 nodes those with the least time are left out. */
export function mergePaths(t: TraceColumns): Merged {
  const nodeOf = new Int32Array(t.count), own = selfTimes(t)
  const found = new Map<string, number>()
  const list: (MergedNode & { size: number })[] = []
  for (let r = 0; r < t.count; r++) {
    const parent = t.parent[r] >= 0 ? nodeOf[t.parent[r]] : -1
    const key = `${parent} ${t.service[r]} ${t.name[r]}`
    let k = found.get(key)
    if (k === undefined) {
      found.set(key, k = list.length)
      list.push({ service: t.services.at(t.service[r]) ?? '', name: t.names.at(t.name[r]) ?? '', parent, depth: parent >= 0 ? list[parent].depth + 1 : 0, count: 0, errors: 0, total: 0, self: 0, row: r, size: 0 })
    }
    nodeOf[r] = k
    const n = list[k]
    n.count++
    n.total += t.duration[r]
    n.self += own[r]
    if (t.status[r] === statusError) n.errors++
    if (t.duration[r] > t.duration[n.row]) n.row = r
  }
  // A node is as wide as its own time and that of all below it.
  for (let k = list.length - 1; k >= 0; k--) { list[k].size += list[k].self; if (list[k].parent >= 0) list[list[k].parent].size += list[k].size }
  const children: number[][] = list.map(() => [])
  const roots: number[] = []
  list.forEach((n, k) => (n.parent >= 0 ? children[n.parent] : roots).push(k))
  const wide = (a: number, b: number) => list[a].size - list[b].size || b - a // the widest last, as a stack wants it
  const nodes: MergedNode[] = [], place = new Int32Array(list.length)
  const stack = roots.sort(wide)
  const least = list.length > mostNodes ? list.map((n) => n.size).sort((a, b) => b - a)[mostNodes] : -1
  while (stack.length > 0) {
    const k = stack.pop()!, { size, ...n } = list[k]
    if (size < least || nodes.length >= mostNodes) continue
    place[k] = nodes.length
    nodes.push({ ...n, parent: n.parent >= 0 ? place[n.parent] : -1 })
    for (const c of children[k].sort(wide)) stack.push(c)
  }
  return { nodes, leftOut: list.length - nodes.length }
}
