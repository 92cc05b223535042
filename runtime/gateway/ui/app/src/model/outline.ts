// Reads an outline: what a trace is drawn from, without attributes. docs/format/outline.md says how it
// is written.

import { IDIndex } from './idindex'
import { arrangeTree, notReceived, type LinkedSpans, type TraceColumns } from './trace'

/** What stands before the columns. */
interface Head {
  traceId: string; spans: number; startUnixNano: string; otlpBytes: number
  complete: boolean; warnings?: string[]; watermark?: string
  services: string[]; names: string[]
}

export interface Outline {
  columns: TraceColumns
  /** Which span of the outline is shown in a row. */
  order: Uint32Array
  /** How large the whole trace is. */
  otlpBytes: number
}

const noParent = 0xffffffff, parentMissing = 0xfffffffe

/** Reads an outline. It throws a RangeError where it is cut short, and an Error where it is none. */
export function readOutline(buffer: ArrayBuffer): Outline {
  const view = new DataView(buffer)
  if (buffer.byteLength < 8 || view.getUint32(0, true) !== 0x314f5254) throw new Error('The node answered with something that is no outline.')
  let at = 8
  const size = view.getUint32(4, true)
  const head = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, at, size))) as Head
  at += size
  const n = head.spans
  const widths = [8, 8, 8, 4, 4, 2, 1]
  if (buffer.byteLength < widths.reduce((sum, w) => sum + Math.ceil(n * w / 8) * 8, at)) throw new RangeError('The connection ended before the outline of the trace did.')
  const column = <A>(make: { new(b: ArrayBuffer, at: number, n: number): A; BYTES_PER_ELEMENT: number }): A => {
    at = Math.ceil(at / 8) * 8
    const a = new make(buffer, at, n)
    at += n * make.BYTES_PER_ELEMENT
    return a
  }
  const start = column(Float64Array), duration = column(Float64Array), id = column(BigUint64Array)
  const parents = column(Uint32Array), name = column(Uint32Array), service = column(Uint16Array), marks = column(Uint8Array)
  const parent = new Int32Array(n), kind = new Uint8Array(n), status = new Uint8Array(n), flags = new Uint8Array(n)
  for (let i = 0; i < n; i++) {
    const p = parents[i], m = marks[i]
    parent[i] = p === noParent ? -1 : p === parentMissing || p >= n ? notReceived : p
    kind[i] = m & 7
    status[i] = (m >> 3) & 3
    flags[i] = m >> 5
  }
  const spans: LinkedSpans = { count: n, origin: BigInt(head.startUnixNano || '0'), start, duration, id, parent, name, service, kind, status, flags }
  const { order, ...tree } = arrangeTree(spans, new IDIndex(id).duplicates)
  const columns = { ...tree, traceID: head.traceId, names: head.names, services: head.services, complete: head.complete, warnings: head.warnings ?? [], message: '' }
  return { columns, order, otlpBytes: head.otlpBytes }
}
