// The worker that holds an opened trace. The page gets columns to draw and asks for the rest.

import { OpenTrace, type Form, type Found, type Lines, type Summary } from './opentrace'
import { layOutFlame, type Lanes } from './flame'
import { mergePaths, type Merged } from './merged'
import type { SpanDetail } from './otlp'
import { edgesOf, type Edge } from './servicemap'
import { packTexts, type Packed } from './texts'
import type { TraceColumns } from './trace'

export type Question =
  | { kind: 'open'; bytes: ArrayBuffer; form: Form }
  | { kind: 'add'; bytes: ArrayBuffer }
  | { kind: 'details'; rows: number[] }
  | { kind: 'find'; text: string }
  | { kind: 'rows'; ordinals: Uint32Array }
  | { kind: 'lines' }
  | { kind: 'edges' }
  | { kind: 'lanes' }
  | { kind: 'merged' }

/** An opened trace as it passes to the page. */
export interface Sent extends Summary { columns: Omit<TraceColumns, 'names' | 'services'>; names: Packed; serviceNames: Packed }
export type Reply = Sent | (SpanDetail | undefined)[] | Found | Lines | Edge[] | Lanes | Merged | undefined

let trace: OpenTrace | undefined

function answer(q: Question): [Reply, Transferable[]] {
  switch (q.kind) {
    case 'open': { trace = new OpenTrace(q.bytes, q.form); return sendTrace(trace) }
    case 'add': trace!.add(q.bytes); return [undefined, []]
    case 'details': return [q.rows.map((r) => trace!.detail(r)), []]
    case 'find': { const f = trace!.find(q.text); return [f, [f.rows.buffer]] }
    case 'rows': { const f = trace!.rowsOf(q.ordinals); return [f, [f.rows.buffer]] }
    case 'lines': return [trace!.lines(), []]
    case 'edges': return [edgesOf(trace!.columns), []]
    case 'lanes': { const l = layOutFlame(trace!.columns); return [l, [l.lane.buffer, l.first.buffer, l.rows.buffer]] }
    case 'merged': return [mergePaths(trace!.columns), []]
  }
}

/** Copies columns for the page and hands the copies over, so that the page's thread copies nothing. */
function sendTrace(o: OpenTrace): [Sent, Transferable[]] {
  const { names, services, ...columns } = o.columns
  const given: Transferable[] = []
  const copy = <T extends object>(from: T): T => Object.fromEntries(Object.entries(from).map(([k, v]) => {
    if (!ArrayBuffer.isView(v)) return [k, v]
    const c = (v as Uint8Array).slice()
    given.push(c.buffer)
    return [k, c]
  })) as T
  const pack = (p: Packed): Packed => { if (!Array.isArray(p)) given.push(p.bytes.buffer, p.ends.buffer); return p }
  return [{ ...o.summary, path: copy(o.summary.path), columns: copy(columns), names: pack(packTexts(names)), serviceNames: pack(packTexts(services)) }, given]
}

self.onmessage = (e: MessageEvent<{ id: number; question: Question }>) => {
  try {
    const [reply, given] = answer(e.data.question)
    postMessage({ id: e.data.id, reply }, { transfer: given })
  } catch (err) {
    postMessage({ id: e.data.id, error: err instanceof Error ? err.message : String(err) })
  }
}
