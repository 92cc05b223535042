// A trace as columns. Span i of the columns is the i-th in the order in which a tree is shown: a
// span comes before its children, which are ordered by start and id. Nothing here recurses, so that
// chains of a million spans and cycles of parents do no harm.

import { IDIndex } from './idindex'

/** Texts by number: an array, or bytes that are decoded when they are looked at. */
export interface Texts { readonly length: number; at(i: number): string | undefined }

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
  names: Texts
  services: Texts
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

/** Spans whose parents are known by number: −1 has none, −2 has one that was not received. */
export interface LinkedSpans {
  count: number
  origin: bigint
  start: Float64Array
  duration: Float64Array
  id: BigUint64Array
  parent: Int32Array
  name: Uint32Array
  service: Uint16Array
  kind: Uint8Array
  status: Uint8Array
  flags: Uint8Array
}

export const notReceived = -2

export type Tree = Omit<TraceColumns, 'traceID' | 'names' | 'services' | 'complete' | 'warnings' | 'message'> & { order: Uint32Array }

/** Puts spans into the order of their tree. order[i] says which raw span row i is. */
export function buildTree(raw: RawSpans): Tree {
  const n = raw.count
  let origin = n > 0 ? raw.start[0] : 0n
  for (let i = 1; i < n; i++) if (raw.start[i] < origin) origin = raw.start[i]
  const index = new IDIndex(raw.id)
  const parent = new Int32Array(n).fill(-1)
  const start = new Float64Array(n), duration = new Float64Array(n)
  for (let i = 0; i < n; i++) {
    start[i] = Number(raw.start[i] - origin)
    duration[i] = Number(raw.end[i] - raw.start[i])
    if (raw.parent[i] !== 0n) parent[i] = findParent(raw, index, i)
  }
  return arrangeTree({ ...raw, origin, start, duration, parent }, index.duplicates)
}

/** Puts spans whose parents are known into the order of their tree. */
export function arrangeTree(raw: LinkedSpans, duplicates: number): Tree {
  const n = raw.count
  const odd: Odd = { orphans: 0, duplicates, cycles: 0, negative: 0 }
  const parent = raw.parent.slice(), flags = raw.flags.slice(), duration = raw.duration.slice()
  const start = raw.start
  let total = 0
  for (let i = 0; i < n; i++) {
    if (parent[i] === notReceived) { parent[i] = -1; flags[i] |= isOrphan; odd.orphans++ }
    if (duration[i] < 0) { odd.negative++; flags[i] |= isOdd; duration[i] = 0 }
    total = Math.max(total, start[i] + duration[i])
  }
  const ranked = rankByStart(start, raw.id)

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
    count: n, origin: raw.origin, total, odd, order,
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

/** The spans by start, then id, then their own order. Spans mostly come in this order, which is seen first. */
function rankByStart(start: Float64Array, id: BigUint64Array): Uint32Array {
  const ranked = new Uint32Array(start.length)
  for (let i = 0; i < ranked.length; i++) ranked[i] = i
  const compare = (a: number, b: number) => start[a] - start[b] || (id[a] < id[b] ? -1 : id[a] > id[b] ? 1 : a - b)
  for (let i = 1; i < ranked.length; i++) if (compare(i - 1, i) > 0) return ranked.sort(compare)
  return ranked
}

/** The other span whose id is the parent id; of several, the only one of the kind that the rule of twins asks for. */
function findParent(raw: RawSpans, index: IDIndex, i: number): number {
  const want = raw.kind[i] === 2 ? 3 : 2
  let others = 0, other = notReceived, fits = 0, fit = notReceived
  for (let p = index.first(raw.parent[i]); p >= 0; p = index.next(p)) {
    if (p === i) continue
    others++; other = p
    if (raw.kind[p] === want) { fits++; fit = p }
  }
  return others === 1 ? other : fits === 1 ? fit : notReceived
}

export const nameOf = (t: TraceColumns, row: number) => t.names.at(t.name[row]) ?? ''
export const serviceOf = (t: TraceColumns, row: number) => t.services.at(t.service[row]) ?? ''

const hex = Array.from({ length: 256 }, (_, i) => i.toString(16).padStart(2, '0'))

export function spanID(t: TraceColumns, row: number): string {
  let s = ''
  for (let k = 8 * row; k < 8 * row + 8; k++) s += hex[t.ids[k]]
  return s
}

/**
 * Finds the spans of some rows of a trace in a part of it: for each the row there, −1 if it has none. A start
 * that is years from the origin is rounded, so of the spans that share an id and a kind the nearest one is taken.
 */
export function findRows(t: TraceColumns, rows: number[], part: TraceColumns): number[] {
  const keyOf = (of: TraceColumns, r: number) => `${spanID(of, r)} ${of.kind[r]}`
  const found = new Map<string, number[]>()
  for (let k = 0; k < part.count; k++) {
    const key = keyOf(part, k), list = found.get(key)
    if (list) list.push(k)
    else found.set(key, [k])
  }
  const later = Number(part.origin - t.origin)
  const distance = (r: number, k: number) => Math.abs(later + part.start[k] - t.start[r]) + Math.abs(part.duration[k] - t.duration[r])
  return rows.map((r) => (found.get(keyOf(t, r)) ?? []).reduce((best, k) => (best < 0 || distance(r, k) < distance(r, best) ? k : best), -1))
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

/**
 * The critical path, stretch by stretch in the order of time: from and to are nanoseconds from the
 * origin. byRow lists the stretches in the order of their rows.
 */
export interface Path { row: Int32Array; from: Float64Array; to: Float64Array; byRow: Uint32Array }

/**
 * The critical path of a subtree, from its end backwards: at each moment it follows the child that
 * ends last before that moment. Children that end after their parent count up to its end.
 */
export function criticalPath(t: TraceColumns, root: number): Path {
  const out = new Stretches()
  if (root < 0) return out.finish(t.count)
  // The children of each span lie side by side in one column, and those of an open span are sorted there.
  const first = new Uint32Array(t.count + 1)
  for (let r = 0; r < t.count; r++) if (t.parent[r] >= 0) first[t.parent[r] + 1]++
  for (let r = 0; r < t.count; r++) first[r + 1] += first[r]
  const children = new Uint32Array(first[t.count]), fill = first.slice()
  for (let r = 0; r < t.count; r++) if (t.parent[r] >= 0) children[fill[t.parent[r]]++] = r
  const next = fill // from here on: the next child to look at
  const endOf = (c: number, bound: number) => Math.min(t.start[c] + t.duration[c], bound)
  // Open spans, innermost last: the row, from when to when it may take, and the end that it began with.
  const rows = new Int32Array(t.count)
  const floors = new Float64Array(t.count), untils = new Float64Array(t.count), bounds = new Float64Array(t.count)
  let level = -1
  const open = (row: number, floor: number, until: number) => {
    level++
    rows[level] = row
    floors[level] = Math.max(floor, t.start[row])
    untils[level] = bounds[level] = until
    next[row] = first[row]
    if (first[row + 1] - first[row] > 1) children.subarray(first[row], first[row + 1]).sort((a, b) => endOf(b, until) - endOf(a, until) || b - a)
  }
  open(root, t.start[root], t.start[root] + t.duration[root])
  while (level >= 0) {
    const row = rows[level], floor = floors[level], until = untils[level]
    let child = -1, end = 0
    while (next[row] < first[row + 1]) {
      const c = children[next[row]++]
      end = endOf(c, bounds[level])
      if (end <= until && end > floor && t.start[c] < end) { child = c; break }
    }
    if (child < 0) {
      if (until > floor) out.add(row, floor, until)
      level--
      continue
    }
    if (until > end) out.add(row, end, until)
    untils[level] = Math.max(floor, t.start[child])
    open(child, floor, end)
  }
  return out.finish(t.count)
}

/** Stretches that are found from the end backwards. */
class Stretches {
  private count = 0
  private row = new Int32Array(64)
  private from = new Float64Array(64)
  private to = new Float64Array(64)

  add(row: number, from: number, to: number): void {
    if (this.count === this.row.length) {
      const more = <A extends Int32Array | Float64Array>(a: A, b: A): A => { b.set(a); return b }
      this.row = more(this.row, new Int32Array(2 * this.count))
      this.from = more(this.from, new Float64Array(2 * this.count))
      this.to = more(this.to, new Float64Array(2 * this.count))
    }
    this.row[this.count] = row
    this.from[this.count] = from
    this.to[this.count++] = to
  }

  finish(rows: number): Path {
    const row = this.row.slice(0, this.count).reverse()
    const byRow = new Uint32Array(this.count), place = new Uint32Array(rows + 1) // a counting sort
    for (const r of row) place[r + 1]++
    for (let r = 0; r < rows; r++) place[r + 1] += place[r]
    for (let i = 0; i < row.length; i++) byRow[place[row[i]]++] = i
    return { row, from: this.from.slice(0, this.count).reverse(), to: this.to.slice(0, this.count).reverse(), byRow }
  }
}

/** Calls visit with each stretch of the path that a row has. */
export function eachStretch(p: Path, row: number, visit: (from: number, to: number) => void): void {
  let a = 0, b = p.byRow.length
  while (a < b) { const m = (a + b) >> 1; if (p.row[p.byRow[m]] < row) a = m + 1; else b = m }
  for (; a < p.byRow.length && p.row[p.byRow[a]] === row; a++) visit(p.from[p.byRow[a]], p.to[p.byRow[a]])
}

/** One line of a table over the spans of a trace. */
export interface Line { service: number; name: number; count: number; errors: number; total: number; self: number; longest: number; path: number }

/** Sums spans by service and name: their time, the time not covered by children, and their share of the path. */
export function sumByName(t: TraceColumns, path: Path, self: Float64Array): Line[] {
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
  for (let i = 0; i < path.row.length; i++) lineOf(path.row[i]).path += path.to[i] - path.from[i]
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

/** The time of one span that none of its children covers. */
export function selfTime(t: TraceColumns, row: number): number {
  const end = t.start[row] + t.duration[row]
  let free = t.duration[row], covered = t.start[row]
  for (let c = row + 1; c < row + t.size[row]; c += t.size[c]) {
    const from = Math.max(t.start[c], covered), to = Math.min(t.start[c] + t.duration[c], end)
    if (to > from) { free -= to - from; covered = to }
  }
  return free
}

/** How many spans run at each moment, in equal parts of the time, and where spans with errors start. */
export interface Busy { spans: Float64Array; most: number; errors: Uint8Array }

export function countBusy(t: TraceColumns, parts = 400): Busy {
  const begin = new Float64Array(parts + 1), errors = new Uint8Array(parts)
  const scale = parts / Math.max(1, t.total)
  for (let r = 0; r < t.count; r++) {
    const a = Math.min(parts - 1, Math.floor(t.start[r] * scale))
    begin[a]++
    begin[Math.min(parts, Math.max(a + 1, Math.ceil((t.start[r] + t.duration[r]) * scale)))]--
    if (t.status[r] === statusError) errors[a] = 1
  }
  const spans = new Float64Array(parts)
  let n = 0, most = 1
  for (let i = 0; i < parts; i++) { n += begin[i]; spans[i] = n; most = Math.max(most, n) }
  return { spans, most, errors }
}
