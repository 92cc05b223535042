// Where spans lie in a flame: a span below its parent, and spans of one level that overlap in lanes of
// their own.

import type { TraceColumns } from './trace'

/** The lane of each row, and the rows of each lane by their start: lane k has rows[first[k]] up to rows[first[k+1]]. */
export interface Lanes { lane: Uint32Array; first: Uint32Array; rows: Uint32Array; count: number }

/** So many lanes are looked at for one that is free; beyond, spans lie over each other. */
const mostTries = 64

export function layOutFlame(t: TraceColumns): Lanes {
  const lane = new Uint32Array(t.count), ends = new Float64Array(t.count + mostTries + 2).fill(-1)
  let count = 0
  for (let r = 0; r < t.count; r++) {
    let k = t.parent[r] >= 0 ? lane[t.parent[r]] + 1 : 0
    for (let tries = 0; tries < mostTries && k < t.count && ends[k] > t.start[r]; tries++) k++
    lane[r] = k
    ends[k] = Math.max(ends[k], t.start[r] + t.duration[r])
    if (k >= count) count = k + 1
  }
  const first = new Uint32Array(count + 1)
  for (let r = 0; r < t.count; r++) first[lane[r] + 1]++
  for (let k = 0; k < count; k++) first[k + 1] += first[k]
  const rows = new Uint32Array(t.count), fill = first.slice()
  for (let r = 0; r < t.count; r++) rows[fill[lane[r]]++] = r
  for (let k = 0; k < count; k++) {
    for (let i = first[k] + 1; i < first[k + 1]; i++) {
      if (t.start[rows[i]] >= t.start[rows[i - 1]]) continue
      rows.subarray(first[k], first[k + 1]).sort((a, b) => t.start[a] - t.start[b] || a - b)
      break
    }
  }
  return { lane, first, rows, count }
}

/** The first place in a lane of a span that starts at a time or later. */
export function placeInLane(t: TraceColumns, l: Lanes, lane: number, time: number): number {
  let a = l.first[lane], b = l.first[lane + 1]
  while (a < b) { const m = (a + b) >> 1; if (t.start[l.rows[m]] < time) a = m + 1; else b = m }
  return a
}
