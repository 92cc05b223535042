// Who calls whom: edges between services, and which part of them is drawn.

import { statusError, type TraceColumns } from './trace'

/** Calls of a server by a client. Durations are in nanoseconds. */
export interface Edge { client: string; server: string; kind: string; count: number; errors: number; p50: number; p95: number; p99: number }

/** What is drawn of a map, and how much is left out: services with few calls, and thin edges. */
export interface Drawn { services: string[]; edges: Edge[]; leftOut: number; thin: number }

const mostServices = 60, mostEdges = 80

/** The edges within some steps of a service, in both directions; all of them without one. */
export function edgesAround(edges: Edge[], focus: string, depth: number): Edge[] {
  if (!focus) return edges
  let near = new Set([focus])
  const walk = (from: (e: Edge) => string, to: (e: Edge) => string) => {
    let rim = new Set([focus])
    const found = new Set<Edge>()
    for (let d = 0; d < depth; d++) {
      const next = new Set<string>()
      for (const e of edges) if (rim.has(from(e))) { found.add(e); if (!near.has(to(e))) next.add(to(e)) }
      near = new Set([...near, ...next])
      rim = next
    }
    return found
  }
  const below = walk((e) => e.client, (e) => e.server)
  near = new Set([focus])
  const above = walk((e) => e.server, (e) => e.client)
  return edges.filter((e) => below.has(e) || above.has(e))
}

/** Chooses what is drawn: the services with the most calls if there are too many. The focus always is. */
export function chooseDrawn(edges: Edge[], focus: string, most = mostServices): Drawn {
  const weight = new Map<string, number>()
  for (const e of edges) for (const s of [e.client, e.server]) weight.set(s, Math.max(weight.get(s) ?? 0, e.count))
  const all = [...weight.keys()].sort((a, b) => Number(b === focus) - Number(a === focus) || weight.get(b)! - weight.get(a)! || (a < b ? -1 : 1))
  const kept = new Set(all.slice(0, most))
  const between = edges.filter((e) => kept.has(e.client) && kept.has(e.server))
  const shown = between.length <= mostEdges ? between : [...between].sort((a, b) => b.count - a.count).slice(0, mostEdges)
  const tied = new Set(shown.flatMap((e) => [e.client, e.server]))
  const services = all.filter((s) => tied.has(s))
  return { services, edges: shown, leftOut: all.length - services.length, thin: between.length - shown.length }
}

/** The edges of one trace: from the service of each span to those of its children. */
export function edgesOf(t: TraceColumns): Edge[] {
  const found = new Map<number, { count: number; errors: number; message: boolean; durations: number[] }>()
  for (let r = 0; r < t.count; r++) {
    const p = t.parent[r]
    if (p < 0 || t.service[p] === t.service[r]) continue
    const key = t.service[p] * 65536 + t.service[r]
    let e = found.get(key)
    if (!e) found.set(key, e = { count: 0, errors: 0, message: t.kind[r] === 5, durations: [] })
    e.count++
    e.durations.push(t.duration[r])
    if (t.status[r] === statusError) e.errors++
  }
  return [...found].map(([key, e]) => {
    const sorted = Float64Array.from(e.durations).sort()
    const at = (q: number) => sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))]
    return { client: t.services.at(Math.floor(key / 65536)) ?? '', server: t.services.at(key % 65536) ?? '', kind: e.message ? 'message' : 'call', count: e.count, errors: e.errors, p50: at(.5), p95: at(.95), p99: at(.99) }
  }).sort((a, b) => b.count - a.count)
}

