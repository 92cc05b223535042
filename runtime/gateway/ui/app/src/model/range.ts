// The range of time that a screen shows: "now-1h" to "now", or two moments.

export interface Range { from: string; to: string }

const unitMs: Record<string, number> = { s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000, w: 604_800_000 }

/** Reads "now", "now-15m" or an RFC 3339 moment as ms since 1970; undefined when it is neither. */
export function readMoment(text: string, now: number): number | undefined {
  const m = /^now(?:-(\d+)([smhdw]))?$/.exec(text)
  if (m) return now - (m[1] ? Number(m[1]) * unitMs[m[2]] : 0)
  const ms = Date.parse(text)
  return Number.isNaN(ms) ? undefined : ms
}

/** Reports whether both ends are words that can be read and the first is before the second. */
export function isRange(r: Range): boolean {
  const now = 1e12
  const from = readMoment(r.from, now), to = readMoment(r.to, now)
  return from !== undefined && to !== undefined && from < to
}

export function boundsOf(r: Range, now: number): [number, number] {
  return [readMoment(r.from, now) ?? now - unitMs.h, readMoment(r.to, now) ?? now]
}

/** The parameters of the API for a range. A range that ends now is left to the server's clock. */
export function rangeParams(r: Range, now: number): Record<string, string> {
  const m = /^now-(\d+)([smhdw])$/.exec(r.from)
  if (m && r.to === 'now') {
    const h = m[2] === 'd' ? `${Number(m[1]) * 24}h` : m[2] === 'w' ? `${Number(m[1]) * 168}h` : m[1] + m[2]
    return { since: h }
  }
  const [from, to] = boundsOf(r, now)
  return { start: String(Math.floor(from / 1000)), end: String(Math.ceil(to / 1000)) }
}

/** A range between two moments; whole seconds where that loses nothing. */
export function absoluteRange(from: number, to: number): Range {
  return { from: writeMoment(from), to: writeMoment(to) }
}

function writeMoment(ms: number): string {
  return new Date(Math.round(ms)).toISOString().replace(/\.000Z$/, 'Z')
}

/** Moves a range by a share of its length; a relative range becomes absolute. */
export function shiftRange(r: Range, share: number, now: number): Range {
  const [from, to] = boundsOf(r, now)
  const d = (to - from) * share
  return absoluteRange(from + d, to + d)
}

/** Makes a range twice as long around its middle. */
export function widenRange(r: Range, now: number): Range {
  const relative = /^now-(\d+)([smhdw])$/.exec(r.from)
  if (relative && r.to === 'now') return { from: `now-${Number(relative[1]) * 2}${relative[2]}`, to: 'now' }
  const [from, to] = boundsOf(r, now)
  return absoluteRange(from - (to - from) / 2, Math.min(to + (to - from) / 2, Math.max(now, to)))
}

export const quickRanges: [string, Range][] = [
  ['Last 5 minutes', { from: 'now-5m', to: 'now' }],
  ['Last 15 minutes', { from: 'now-15m', to: 'now' }],
  ['Last hour', { from: 'now-1h', to: 'now' }],
  ['Last 3 hours', { from: 'now-3h', to: 'now' }],
  ['Last 6 hours', { from: 'now-6h', to: 'now' }],
  ['Last 12 hours', { from: 'now-12h', to: 'now' }],
  ['Last 24 hours', { from: 'now-24h', to: 'now' }],
  ['Last 2 days', { from: 'now-2d', to: 'now' }],
  ['Last 7 days', { from: 'now-7d', to: 'now' }],
]

/** How a range is called. */
export function nameRange(r: Range, write: (ms: number) => string): string {
  const quick = quickRanges.find(([, q]) => q.from === r.from && q.to === r.to)
  if (quick) return quick[0]
  const m = /^now-(\d+)([smhdw])$/.exec(r.from)
  if (m && r.to === 'now') return `Last ${m[1]} ${{ s: 'seconds', m: 'minutes', h: 'hours', d: 'days', w: 'weeks' }[m[2]]}`
  const end = (t: string) => (t.startsWith('now') ? t : write(Date.parse(t)))
  return `${end(r.from)} – ${end(r.to)}`
}
