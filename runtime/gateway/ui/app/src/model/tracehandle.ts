// The page's side of the worker that holds an opened trace.

import type { SpanDetail } from './otlp'
import type { Opened, Question, Reply } from './traceworker'

export class TraceHandle {
  private worker = new Worker(new URL('./traceworker.ts', import.meta.url), { type: 'module' })
  private waiting = new Map<number, { resolve: (r: Reply) => void; reject: (e: Error) => void }>()
  private next = 0

  constructor() {
    this.worker.onmessage = (e: MessageEvent<{ id: number; reply?: Reply; error?: string }>) => {
      const w = this.waiting.get(e.data.id)
      this.waiting.delete(e.data.id)
      if (e.data.error !== undefined) w?.reject(new Error(e.data.error))
      else w?.resolve(e.data.reply!)
    }
  }

  private ask<R extends Reply>(question: Question, transfer: Transferable[] = []): Promise<R> {
    return new Promise((resolve, reject) => {
      const id = this.next++
      this.waiting.set(id, { resolve: resolve as (r: Reply) => void, reject })
      this.worker.postMessage({ id, question }, transfer)
    })
  }

  open(bytes: ArrayBuffer, bare = false): Promise<Opened> { return this.ask({ kind: 'open', bytes, bare }, [bytes]) }
  detail(row: number): Promise<SpanDetail> { return this.ask({ kind: 'detail', row }) }
  find(text: string): Promise<Uint32Array> { return this.ask({ kind: 'find', text }) }
  close(): void { this.worker.terminate() }
}
