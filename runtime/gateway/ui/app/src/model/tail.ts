// What a tail keeps: the newest traces, each once, and how many came and were dropped.

export const mostKept = 1000
const rateSeconds = 10

export interface TailState<T> {
  /** The newest first. */
  rows: T[]
  /** Traces that came while the page was paused. */
  waiting: T[]
  came: number
  dropped: number
  /** How many came in each of the last seconds: [second, traces]. */
  seconds: [number, number][]
}

export const emptyTail = <T>(): TailState<T> => ({ rows: [], waiting: [], came: 0, dropped: 0, seconds: [] })

/** Takes traces in that came at a time. A trace that is there already is replaced, and stays in its place. */
export function addTraces<T extends { traceID: string }>(s: TailState<T>, traces: T[], dropped: number, atMs: number, paused: boolean): TailState<T> {
  const second = Math.floor(atMs / 1000)
  const seconds = s.seconds.filter(([t]) => t > second - rateSeconds)
  const last = seconds[seconds.length - 1]
  if (last?.[0] === second) seconds[seconds.length - 1] = [second, last[1] + traces.length]
  else seconds.push([second, traces.length])
  const next = { ...s, came: s.came + traces.length, dropped: s.dropped + dropped, seconds }
  return paused ? { ...next, waiting: put(s.waiting, traces) } : { ...next, rows: put(s.rows, traces) }
}

/** Shows what came during a pause. */
export function resume<T extends { traceID: string }>(s: TailState<T>): TailState<T> {
  return { ...s, rows: put(s.rows, [...s.waiting].reverse()), waiting: [] }
}

/** Traces that came a second, over the last ten. */
export function rateOf<T>(s: TailState<T>, nowMs: number): number {
  const now = Math.floor(nowMs / 1000)
  return s.seconds.reduce((n, [t, k]) => (t > now - rateSeconds && t <= now ? n + k : n), 0) / rateSeconds
}

/** Puts traces, the oldest first, before those that are there. */
function put<T extends { traceID: string }>(rows: T[], traces: T[]): T[] {
  const place = new Map(rows.map((t, i) => [t.traceID, i]))
  const kept = rows.slice()
  const fresh = new Map<string, T>()
  for (const t of traces) {
    const i = place.get(t.traceID)
    if (i !== undefined) kept[i] = t
    else fresh.set(t.traceID, t)
  }
  return [...[...fresh.values()].reverse(), ...kept].slice(0, mostKept)
}
