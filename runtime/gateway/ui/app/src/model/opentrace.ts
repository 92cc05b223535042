// A trace that is open: its columns, and the bytes of its spans as soon as they are there. The page's
// worker holds one.

import { IDIndex } from './idindex'
import { TraceBuffer, type SpanDetail } from './otlp'
import { readOutline } from './outline'
import { countBusy, criticalPath, hasLinks, rootRow, selfTimes, spanID, statusError, sumByName, type Busy, type Line, type Path, type TraceColumns } from './trace'

/** In what form a trace comes: an answer of trace by id, spans as files hold them, or an outline. */
export type Form = 'answer' | 'file' | 'outline'

/** What every view of a trace needs, so that the page computes nothing of its size. */
export interface Summary { path: Path; busy: Busy; root: number; errors: number; depth: number; services: number; /** of the whole trace as OTLP */ bytes: number }

/** The rows that a filter has found: found[row] is 1. */
export interface Found { rows: Uint8Array; count: number }

/** Lines of a table over the operations of a trace; there may be more of them than are shown. */
export interface Lines { lines: Line[]; all: number }

/** Filters that are neither text nor TraceQL. */
export const marks: [filter: string, name: string][] = [['is:error', 'Errors'], ['is:path', 'The critical path'], ['is:slow', 'The slowest 1 %'], ['is:link', 'Spans with links']]

const mostLines = 2000

export class OpenTrace {
  readonly columns: TraceColumns
  readonly summary: Summary
  private whole: TraceBuffer | undefined
  /** For a trace that was opened by its outline: where a row is in the whole trace, −1 if it is not there. */
  private wholeRow: Int32Array | undefined
  private readonly order: Uint32Array | undefined

  constructor(bytes: ArrayBuffer, form: Form) {
    let size = bytes.byteLength
    if (form === 'outline') {
      const o = readOutline(bytes)
      this.columns = o.columns
      this.order = o.order
      size = o.otlpBytes
    } else {
      this.whole = TraceBuffer.read(new Uint8Array(bytes), form === 'file')
      this.columns = this.whole.columns
    }
    this.summary = { ...summarize(this.columns), bytes: size }
  }

  /** Takes the whole trace in, of which so far only the outline was there. */
  add(bytes: ArrayBuffer): void {
    const whole = TraceBuffer.read(new Uint8Array(bytes)), w = whole.columns, t = this.columns
    const index = new IDIndex(new BigUint64Array(w.ids.buffer))
    const ids = new BigUint64Array(t.ids.buffer)
    const rows = new Int32Array(t.count)
    for (let r = 0; r < t.count; r++) {
      let k = index.first(ids[r])
      while (k >= 0 && !(Number(w.origin - t.origin) + w.start[k] === t.start[r] && w.kind[k] === t.kind[r])) k = index.next(k)
      rows[r] = k
    }
    this.whole = whole
    this.wholeRow = rows
  }

  /** Everything that the span of a row says, if its bytes are here. */
  detail(row: number): SpanDetail | undefined {
    const k = this.wholeRow ? this.wholeRow[row] : row
    return this.whole && k >= 0 ? this.whole.detail(k) : undefined
  }

  /** The rows that have a mark, see marks. */
  private findMarked(mark: string): Found {
    const t = this.columns
    switch (mark) {
      case 'is:error': return collect(t, (r) => t.status[r] === statusError)
      case 'is:link': return collect(t, (r) => (t.flags[r] & hasLinks) !== 0)
      case 'is:path': { const on = new Uint8Array(t.count); for (const r of this.summary.path.row) on[r] = 1; return collect(t, (r) => on[r] === 1) }
      case 'is:slow': { const least = t.duration.slice().sort()[Math.floor(t.count * .99)]; return collect(t, (r) => t.duration[r] >= least) }
    }
    throw new Error(`There is no mark ${mark}; there are ${marks.map(([m]) => m).join(', ')}.`)
  }

  /** The rows that hold a text: in all that they say, or in name, service and id if only the outline is here. */
  find(text: string): Found {
    const t = this.columns
    if (text.startsWith('is:')) return this.findMarked(text)
    if (this.whole) {
      const hits = new Uint8Array(this.whole.columns.count)
      for (const k of this.whole.find(text)) hits[k] = 1
      return collect(t, (r) => { const k = this.wholeRow ? this.wholeRow[r] : r; return k >= 0 && hits[k] === 1 })
    }
    const want = text.toLowerCase()
    const holds = (texts: TraceColumns['names']) => Uint8Array.from({ length: texts.length }, (_, i) => (texts.at(i)!.toLowerCase().includes(want) ? 1 : 0))
    const names = holds(t.names), services = holds(t.services)
    const hex = /^[0-9a-f]{4,16}$/.test(want) ? want : ''
    return collect(t, (r) => names[t.name[r]] === 1 || services[t.service[r]] === 1 || (hex !== '' && spanID(t, r).includes(hex)))
  }

  /** The rows of some spans of the outline. */
  rowsOf(ordinals: Uint32Array): Found {
    const t = this.columns, asked = new Uint8Array(t.count)
    for (const o of ordinals) asked[o] = 1
    return collect(t, (r) => asked[this.order ? this.order[r] : r] === 1)
  }

  /** The operations: those on the critical path and those with the most time of their own, at most 2,000. */
  lines(): Lines {
    const all = sumByName(this.columns, this.summary.path, selfTimes(this.columns))
    const lines = all.length <= mostLines ? all : all.sort((a, b) => b.path - a.path || b.self - a.self).slice(0, mostLines)
    return { lines, all: all.length }
  }
}

function collect(t: TraceColumns, fits: (row: number) => boolean): Found {
  const rows = new Uint8Array(t.count)
  let count = 0
  for (let r = 0; r < t.count; r++) if (fits(r)) { rows[r] = 1; count++ }
  return { rows, count }
}

function summarize(t: TraceColumns): Omit<Summary, 'bytes'> {
  const root = rootRow(t), used = new Uint8Array(Math.max(1, t.services.length))
  let errors = 0, depth = 0, services = 0
  for (let r = 0; r < t.count; r++) {
    if (t.status[r] === statusError) errors++
    if (t.depth[r] >= depth) depth = t.depth[r] + 1
    if (!used[t.service[r]]) { used[t.service[r]] = 1; services++ }
  }
  return { path: criticalPath(t, root >= 0 ? root : t.count > 0 ? 0 : -1), busy: countBusy(t), root, errors, depth, services }
}
