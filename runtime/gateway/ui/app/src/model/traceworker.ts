// The worker that holds an opened trace. The page gets columns to draw and asks for the rest.

import { criticalPath, rootRow, selfTimes, statusError, sumByName, type Line, type Stretch, type TraceColumns } from './trace'
import { TraceBuffer, type SpanDetail } from './otlp'

export type Question =
  | { kind: 'open'; bytes: ArrayBuffer; bare: boolean }
  | { kind: 'detail'; row: number }
  | { kind: 'find'; text: string }

/** An opened trace with what every view of it needs, so that the page computes nothing of its size. */
export interface Opened { columns: TraceColumns; path: Stretch[]; lines: Line[]; root: number; self: Float64Array; errors: number; depth: number; services: number }
export type Reply = Opened | SpanDetail | Uint32Array

let buffer: TraceBuffer | undefined

function answer(q: Question): Reply {
  switch (q.kind) {
    case 'open': {
      buffer = TraceBuffer.read(new Uint8Array(q.bytes), q.bare)
      const t = buffer.columns
      const root = rootRow(t)
      const path = criticalPath(t, root >= 0 ? root : t.count > 0 ? 0 : -1)
      const self = selfTimes(t), used = new Set<number>()
      let errors = 0, depth = 0
      for (let r = 0; r < t.count; r++) {
        if (t.status[r] === statusError) errors++
        depth = Math.max(depth, t.depth[r] + 1)
        used.add(t.service[r])
      }
      return { columns: t, path, lines: sumByName(t, path, self), root, self, errors, depth, services: used.size }
    }
    case 'detail': return buffer!.detail(q.row)
    case 'find': return buffer!.find(q.text)
  }
}

self.onmessage = (e: MessageEvent<{ id: number; question: Question }>) => {
  try {
    self.postMessage({ id: e.data.id, reply: answer(e.data.question) })
  } catch (err) {
    self.postMessage({ id: e.data.id, error: String(err) })
  }
}
