// The page's side of the worker that holds an opened trace.

import type { Lanes } from './flame'
import type { Merged } from './merged'
import type { Form, Found, Lines, Summary } from './opentrace'
import { TraceBuffer, type SpanDetail } from './otlp'
import type { Edge } from './servicemap'
import { unpackTexts } from './texts'
import { findRows, spanID, type TraceColumns } from './trace'
import type { Question, Reply, Sent } from './traceworker'

/** An opened trace with what every view of it needs. */
export interface Opened extends Summary { columns: TraceColumns }

/** Asks the node for some spans of the trace, by their ids, as an answer of trace by id. */
export type FetchSpans = (ids: string[]) => Promise<ArrayBuffer>

const most = 500 // ids in one address

export class TraceHandle {
  private worker = new Worker(new URL('./traceworker.ts', import.meta.url), { type: 'module' })
  private waiting = new Map<number, { resolve: (r: Reply) => void; reject: (e: Error) => void }>()
  private next = 0
  private columns: TraceColumns | undefined

  constructor(private readonly fetchSpans?: FetchSpans) {
    this.worker.onmessage = (e: MessageEvent<{ id: number; reply?: Reply; error?: string }>) => {
      const w = this.waiting.get(e.data.id)
      this.waiting.delete(e.data.id)
      if (e.data.error !== undefined) w?.reject(new Error(e.data.error))
      else w?.resolve(e.data.reply)
    }
    this.worker.onerror = (e) => { for (const w of this.waiting.values()) w.reject(new Error(e.message || 'The trace is too large for the memory of this browser.')) }
  }

  private ask<R extends Reply>(question: Question, transfer: Transferable[] = []): Promise<R> {
    return new Promise((resolve, reject) => {
      const id = this.next++
      this.waiting.set(id, { resolve: resolve as (r: Reply) => void, reject })
      this.worker.postMessage({ id, question }, transfer)
    })
  }

  async open(bytes: ArrayBuffer, form: Form): Promise<Opened> {
    const { names, serviceNames, columns, ...summary } = await this.ask<Sent>({ kind: 'open', bytes, form }, [bytes])
    this.columns = { ...columns, names: unpackTexts(names), services: unpackTexts(serviceNames) }
    return { ...summary, columns: this.columns }
  }

  /** Hands over the whole of a trace that was opened by its outline. */
  add(bytes: ArrayBuffer): Promise<undefined> { return this.ask({ kind: 'add', bytes }, [bytes]) }

  /** Everything that some spans say. What the worker does not hold is asked of the node. */
  async details(rows: number[]): Promise<SpanDetail[]> {
    const known = await this.ask<(SpanDetail | undefined)[]>({ kind: 'details', rows })
    const lacking = rows.filter((_, i) => !known[i])
    const fetched = new Map<number, SpanDetail>()
    for (let i = 0; i < lacking.length; i += most) await this.fetchDetails(lacking.slice(i, i + most), fetched)
    return rows.flatMap((r, i) => known[i] ?? fetched.get(r) ?? [])
  }

  private async fetchDetails(rows: number[], into: Map<number, SpanDetail>): Promise<void> {
    const t = this.columns!
    if (!this.fetchSpans) return
    const b = TraceBuffer.read(new Uint8Array(await this.fetchSpans([...new Set(rows.map((r) => spanID(t, r)))])))
    findRows(t, rows, b.columns).forEach((k, i) => { if (k >= 0) into.set(rows[i], b.detail(k)) })
  }

  find(text: string): Promise<Found> { return this.ask({ kind: 'find', text }) }
  rowsOf(ordinals: Uint32Array): Promise<Found> { return this.ask({ kind: 'rows', ordinals }) }
  lines(): Promise<Lines> { return this.ask({ kind: 'lines' }) }
  edges(): Promise<Edge[]> { return this.ask({ kind: 'edges' }) }
  lanes(): Promise<Lanes> { return this.ask({ kind: 'lanes' }) }
  merged(): Promise<Merged> { return this.ask({ kind: 'merged' }) }
  close(): void { this.worker.terminate() }
}
