// How numbers, times and texts are shown. Everything here is pure.

const units: [string, number][] = [['ns', 1], ['µs', 1e3], ['ms', 1e6], ['s', 1e9]]

/** Writes a duration of ns nanoseconds with three significant digits: 1.23 ms, 12 s, 3 min 20 s, 2 h 5 min. */
export function formatDuration(ns: number): string {
  if (!Number.isFinite(ns)) return '–'
  const sign = ns < 0 ? '−' : ''
  let v = Math.abs(ns)
  if (v >= 60e9) {
    const s = Math.round(v / 1e9)
    if (s < 3600) return sign + joinUnits(Math.floor(s / 60), 'min', s % 60, 's')
    const m = Math.round(s / 60)
    if (m < 48 * 60) return sign + joinUnits(Math.floor(m / 60), 'h', m % 60, 'min')
    const h = Math.round(m / 60)
    return sign + joinUnits(Math.floor(h / 24), 'd', h % 24, 'h')
  }
  let unit = units[0]
  for (const u of units) if (v >= u[1]) unit = u
  v /= unit[1]
  const text = v >= 100 || unit[0] === 'ns' ? v.toFixed(0) : v >= 10 ? v.toFixed(1) : v.toFixed(2)
  return sign + trimZeros(text) + ' ' + unit[0]
}

function joinUnits(a: number, unitA: string, b: number, unitB: string): string {
  return b === 0 ? `${a} ${unitA}` : `${a} ${unitA} ${b} ${unitB}`
}

function trimZeros(text: string): string {
  return text.includes('.') ? text.replace(/\.?0+$/, '') : text
}

/** Writes a count with groups of three digits. */
export function formatCount(n: number): string {
  return Math.round(n).toString().replace(/\B(?=(\d{3})+(?!\d))/g, '\u202f')
}

/** Writes a number of a chart or table with three significant digits. */
export function formatNumber(v: number): string {
  if (v === 0) return '0'
  const a = Math.abs(v)
  if (a >= 1e6) return v.toPrecision(3).replace(/e\+/, 'e')
  if (a >= 100) return formatCount(v)
  if (a < 0.001) return v.toExponential(1)
  return String(Number(v.toPrecision(3)))
}

/** Writes bytes in KiB, MiB and so on. */
export function formatBytes(n: number): string {
  if (n < 1024) return `${n} B`
  let unit = 0
  while (n >= 1024 && unit < 4) { n /= 1024; unit++ }
  return `${n >= 100 ? n.toFixed(0) : trimZeros(n.toFixed(1))} ${['B', 'KiB', 'MiB', 'GiB', 'TiB'][unit]}`
}

/** Writes a share in per cent. */
export function formatPercent(share: number): string {
  if (share === 0) return '0 %'
  if (share < 0.001) return '< 0.1 %'
  return `${share >= 0.1 ? Math.round(share * 100) : trimZeros((share * 100).toFixed(1))} %`
}

/** Zone is "local", "UTC" or a name of the IANA data base. */
export type Zone = string

const formats = new Map<string, Intl.DateTimeFormat>()

function partsOf(ms: number, zone: Zone): Record<string, string> {
  let f = formats.get(zone)
  if (!f) {
    const options: Intl.DateTimeFormatOptions = {
      year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit', second: '2-digit', hourCycle: 'h23',
    }
    if (zone !== 'local') options.timeZone = zone
    try { f = new Intl.DateTimeFormat('en-CA', options) } catch { f = new Intl.DateTimeFormat('en-CA', { ...options, timeZone: 'UTC' }) }
    formats.set(zone, f)
  }
  const out: Record<string, string> = {}
  for (const p of f.formatToParts(ms)) out[p.type] = p.value
  return out
}

/** Writes a moment, ms since 1970, as date and time with milliseconds. */
export function formatTime(ms: number, zone: Zone, date = true): string {
  if (!Number.isFinite(ms) || Math.abs(ms) > 8.6e15) return '–'
  const p = partsOf(ms, zone)
  const time = `${p.hour}:${p.minute}:${p.second}.${String(Math.floor(((ms % 1000) + 1000) % 1000)).padStart(3, '0')}`
  return date ? `${p.year}-${p.month}-${p.day} ${time}` : time
}

/** Writes a moment in nanoseconds since 1970 with all its digits. */
export function formatNanos(ns: bigint, zone: Zone): string {
  const ms = Number(ns / 1_000_000n)
  return formatTime(ms, zone) + String(ns % 1_000_000n).padStart(6, '0')
}

/** Says how long ago something was. */
export function formatAge(ms: number): string {
  return ms < 1000 ? 'just now' : `${formatDuration(Math.round(ms / 1000) * 1e9)} ago`
}

const escapes: Record<string, string> = { '\n': '↵', '\t': '⇥', '\r': '␍', '\0': '␀' }

/** Makes text safe to show on one line: control characters and those that turn the direction of writing are shown as signs. */
export function showText(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replace(/[\u0000-\u001f\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
    (c) => escapes[c] ?? `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
