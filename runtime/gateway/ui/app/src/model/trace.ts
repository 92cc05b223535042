// A trace as columns. Span i of the columns is the i-th in the order in which a tree is shown: a
// span comes before its children, which are ordered by start and id. Nothing here recurses, so that
// chains of a million spans and cycles of parents do no harm.

/** flags of a span */
export const hasEvents = 1, hasLinks = 2, isOrphan = 4, isOdd = 8

/** What a trace is drawn from. Typed arrays have one entry for each span. */
export interface TraceColumns {
  traceID: string
  count: number
  /** Unix nanoseconds of the first start; starts count from it. */
  origin: bigint
  start: Float64Array
  duration: Float64Array
  /** The row of the parent, −1 for roots and for spans whose parent has not been received. */
  parent: Int32Array
  depth: Uint32Array
  /** Spans in the subtree, the span itself included. */
  size: Uint32Array
  name: Uint32Array
  service: Uint16Array
  kind: Uint8Array
  status: Uint8Array
  flags: Uint8Array
  /** The 16 hexadecimal digits of the id are these 8 bytes. */
  ids: Uint8Array
  names: string[]
  services: string[]
  /** Nanoseconds from origin to the last end. */
  total: number
  odd: Odd
  complete: boolean
  warnings: string[]
  message: string
}

/** What is unusual about a trace, by count. */
export interface Odd { orphans: number; duplicates: number; cycles: number; negative: number }

/** Spans as they were read, in any order. */
export interface RawSpans {
  count: number
  start: BigUint64Array
  end: BigUint64Array
  id: BigUint64Array
  parent: BigUint64Array
  name: Uint32Array
  service: Uint16Array
  kind: Uint8Array
  status: Uint8Array
  flags: Uint8Array
}

export const kinds = ['unspecified', 'internal', 'server', 'client', 'producer', 'consumer']
export const statuses = ['unset', 'ok', 'error']
export const statusError = 2

/** Puts spans into the order of their tree. order[i] says which raw span row i is. */
export function buildTree(raw: RawSpans): Omit<TraceColumns, 'traceID' | 'names' | 'services' | 'complete' | 'warnings' | 'message'> & { order: Uint32Array } {
  const n = raw.count
  const odd: Odd = { orphans: 0, duplicates: 0, cycles: 0, negative: 0 }
  const byID = new Map<bigint, number>()
  const twins = new Map<bigint, number[]>()
  let origin = n > 0 ? raw.start[0] : 0n
  for (let i = 0; i < n; i++) {
    if (raw.start[i] < origin) origin = raw.start[i]
    const other = byID.get(raw.id[i])
    if (other === undefined) byID.set(raw.id[i], i)
    else { odd.duplicates++; const list = twins.get(raw.id[i]); if (list) list.push(i); else twins.set(raw.id[i], [other, i]) }
  }
  const parent = new Int32Array(n).fill(-1)
  const flags = raw.flags.slice()
  for (let i = 0; i < n; i++) {
    if (raw.parent[i] === 0n) continue
    const p = findParent(raw, byID, twins, i)
    if (p >= 0) parent[i] = p
    else { flags[i] |= isOrphan; odd.orphans++ }
  }

  // Rank of each span by start, then id: children are taken in this order.
  const start = new Float64Array(n), duration = new Float64Array(n)
  let total = 0
  for (let i = 0; i < n; i++) {
    start[i] = Number(raw.start[i] - origin)
    duration[i] = Number(raw.end[i] - raw.start[i])
    if (duration[i] < 0) { odd.negative++; flags[i] |= isOdd; duration[i] = 0 }
    total = Math.max(total, start[i] + duration[i])
  }
  const ranked = new Uint32Array(n)
  for (let i = 0; i < n; i++) ranked[i] = i
  ranked.sort((a, b) => start[a] - start[b] || (raw.id[a] < raw.id[b] ? -1 : raw.id[a] > raw.id[b] ? 1 : a - b))

  // The children of every span, as a counting sort by parent that keeps the rank.
  const first = new Uint32Array(n + 2)
  for (let i = 0; i < n; i++) first[parent[i] + 2]++
  for (let p = 1; p <= n + 1; p++) first[p] += first[p - 1]
  const children = new Uint32Array(n), fill = first.slice()
  for (let k = 0; k < n; k++) children[fill[parent[ranked[k]] + 1]++] = ranked[k]

  const order = new Uint32Array(n), row = new Int32Array(n).fill(-1), depth = new Uint32Array(n)
  let at = 0
  const stack: number[] = []
  const visit = (root: number) => {
    stack.push(root)
    while (stack.length > 0) {
      const i = stack.pop()!
      if (row[i] >= 0) continue
      row[i] = at
      order[at] = i
      const p = parent[i]
      depth[at] = p >= 0 && row[p] >= 0 && row[p] < at ? depth[row[p]] + 1 : 0
      at++
      for (let k = first[i + 2] - 1; k >= first[i + 1]; k--) if (row[children[k]] < 0) stack.push(children[k])
    }
  }
  for (let k = first[0]; k < first[1]; k++) visit(children[k])
  // What no root reaches lies in a cycle; it is shown from its earliest span on.
  for (let k = 0; k < n; k++) {
    const i = ranked[k]
    if (row[i] >= 0) continue
    odd.cycles++
    flags[i] |= isOdd
    parent[i] = -1
    visit(i)
  }

  const out = {
    count: n, origin, total, odd, order,
    start: new Float64Array(n), duration: new Float64Array(n), parent: new Int32Array(n), depth,
    size: new Uint32Array(n), name: new Uint32Array(n), service: new Uint16Array(n), kind: new Uint8Array(n),
    status: new Uint8Array(n), flags: new Uint8Array(n), ids: new Uint8Array(8 * n),
  }
  const ids = new DataView(out.ids.buffer)
  for (let r = 0; r < n; r++) {
    const i = order[r]
    out.start[r] = start[i]
    out.duration[r] = duration[i]
    out.parent[r] = parent[i] >= 0 ? row[parent[i]] : -1
    out.name[r] = raw.name[i]
    out.service[r] = raw.service[i]
    out.kind[r] = raw.kind[i]
    out.status[r] = raw.status[i]
    out.flags[r] = flags[i]
    ids.setBigUint64(8 * r, raw.id[i])
  }
  for (let r = n - 1; r >= 0; r--) {
    out.size[r] += 1
    const p = out.parent[r]
    if (p >= 0) out.size[p] += out.size[r]
  }
  return out
}

/** The other span whose id is the parent id; of several, the only one of the kind that the rule of twins asks for. */
function findParent(raw: RawSpans, byID: Map<bigint, number>, twins: Map<bigint, number[]>, i: number): number {
  const list = twins.get(raw.parent[i])
  if (!list) {
    const p = byID.get(raw.parent[i])
    return p === undefined || p === i ? -1 : p
  }
  const others = list.filter((p) => p !== i)
  if (others.length === 1) return others[0]
  const want = raw.kind[i] === 2 ? 3 : 2
  const fit = others.filter((p) => raw.kind[p] === want)
  return fit.length === 1 ? fit[0] : -1
}

export function spanID(t: TraceColumns, row: number): string {
  let s = ''
  for (let k = 8 * row; k < 8 * row + 8; k++) s += t.ids[k].toString(16).padStart(2, '0')
  return s
}

export function findSpan(t: TraceColumns, id: string): number {
  const want = new Uint8Array(8)
  for (let k = 0; k < 8; k++) want[k] = parseInt(id.slice(2 * k, 2 * k + 2), 16)
  search: for (let r = 0; r < t.count; r++) {
    for (let k = 0; k < 8; k++) if (t.ids[8 * r + k] !== want[k]) continue search
    return r
  }
  return -1
}

/** The row of the span that names the trace: the last of those without a parent id, by start and id. */
export function rootRow(t: TraceColumns): number {
  let root = -1
  for (let r = 0; r < t.count; r += t.size[r]) if (t.parent[r] < 0 && !(t.flags[r] & (isOrphan | isOdd))) root = r
  return root
}

/** A stretch of the critical path: from and to are nanoseconds from the origin. */
export interface Stretch { row: number; from: number; to: number }

/**
 * The critical path of a subtree, from its end backwards: at each moment it follows the child that
 * ends last before that moment. Children that end after their parent count up to its end.
 */
export function criticalPath(t: TraceColumns, root: number): Stretch[] {
  if (root < 0) return []
  const out: Stretch[] = []
  interface Frame { row: number; floor: number; until: number; children: number[]; next: number; bound: number }
  const open = (row: number, floor: number, until: number): Frame => {
    const children: number[] = []
    for (let c = row + 1; c < row + t.size[row]; c += t.size[c]) children.push(c)
    const endOf = (c: number) => Math.min(t.start[c] + t.duration[c], until)
    children.sort((a, b) => endOf(b) - endOf(a) || b - a)
    return { row, floor: Math.max(floor, t.start[row]), until, children, next: 0, bound: until }
  }
  const stack = [open(root, t.start[root], t.start[root] + t.duration[root])]
  while (stack.length > 0) {
    const f = stack[stack.length - 1]
    let child = -1, end = 0
    while (f.next < f.children.length) {
      const c = f.children[f.next++]
      end = Math.min(t.start[c] + t.duration[c], f.bound)
      if (end <= f.until && end > f.floor && t.start[c] < end) { child = c; break }
    }
    if (child < 0) {
      if (f.until > f.floor) out.push({ row: f.row, from: f.floor, to: f.until })
      stack.pop()
      continue
    }
    if (f.until > end) out.push({ row: f.row, from: end, to: f.until })
    const sub = open(child, f.floor, end)
    f.until = sub.floor
    stack.push(sub)
  }
  return out.reverse()
}

/** One line of a table over the spans of a trace. */
export interface Line { service: number; name: number; count: number; errors: number; total: number; self: number; longest: number; path: number }

/** Sums spans by service and name: their time, the time not covered by children, and their share of the path. */
export function sumByName(t: TraceColumns, path: Stretch[], self: Float64Array): Line[] {
  const lines = new Map<number, Line>()
  const lineOf = (row: number): Line => {
    const key = t.service[row] * 2 ** 32 + t.name[row]
    let l = lines.get(key)
    if (!l) lines.set(key, l = { service: t.service[row], name: t.name[row], count: 0, errors: 0, total: 0, self: 0, longest: 0, path: 0 })
    return l
  }
  for (let r = 0; r < t.count; r++) {
    const l = lineOf(r)
    l.count++
    l.total += t.duration[r]
    l.self += self[r]
    l.longest = Math.max(l.longest, t.duration[r])
    if (t.status[r] === statusError) l.errors++
  }
  for (const s of path) lineOf(s.row).path += s.to - s.from
  return [...lines.values()]
}

/** The time of each span that none of its children covers. */
export function selfTimes(t: TraceColumns): Float64Array {
  const self = t.duration.slice()
  // Children come in the order of their starts, so the covered time of a parent grows from left to right.
  const covered = new Float64Array(t.count)
  for (let r = 0; r < t.count; r++) covered[r] = t.start[r]
  for (let r = 0; r < t.count; r++) {
    const p = t.parent[r]
    if (p < 0) continue
    const from = Math.max(t.start[r], covered[p])
    const to = Math.min(t.start[r] + t.duration[r], t.start[p] + t.duration[p])
    if (to > from) { self[p] -= to - from; covered[p] = to }
  }
  return self
}
