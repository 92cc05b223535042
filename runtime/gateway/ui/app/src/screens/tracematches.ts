// Which spans of an open trace a filter matches.

import { useEffect, useRef, useState } from 'preact/hooks'
import { aborted, getBinary, getBytes } from '../api/client'
import { has } from '../api/config'
import type { Found } from '../model/opentrace'
import { TraceBuffer } from '../model/otlp'
import { spanID, type TraceColumns } from '../model/trace'
import type { TraceHandle } from '../model/tracehandle'

export interface Matches { rows?: Uint8Array; count: number; failure?: string; /** The trace has more spans by now. */ grown?: boolean; busy?: boolean }

/** Above this many spans the node tells places in the outline, below it the spans themselves. */
const mostSpans = 20_000

/** Text is looked for by the worker, TraceQL in braces by the node. id is empty for a trace of a file. */
export function useMatches(id: string, handle: TraceHandle, t: TraceColumns, whole: boolean, filter: string): Matches {
  const [found, setFound] = useState<Matches>({ count: 0 })
  const latest = useRef(0)
  useEffect(() => {
    const turn = ++latest.current
    const set = (m: Matches) => { if (turn === latest.current) setFound(m) }
    if (!filter) { set({ count: 0 }); return }
    setFound((m) => ({ ...m, failure: undefined, busy: true }))
    const abort = new AbortController()
    const ask = !filter.startsWith('{') ? handle.find(filter).then(ofFound)
      : id === '' ? Promise.reject(new Error('A file can be filtered by text; TraceQL needs a node.'))
      : t.count > mostSpans && has('matches') ? askPlaces(id, handle, t, filter, abort.signal) : askSpans(id, t, filter, abort.signal)
    ask.then(set, (err: Error) => { if (!aborted(err)) set({ count: 0, failure: err.message.split('\n')[0] }) })
    return () => abort.abort()
  }, [id, filter, t, !filter.startsWith('{') && whole])
  return found
}

const ofFound = (f: Found): Matches => ({ rows: f.rows, count: f.count })

async function askPlaces(id: string, handle: TraceHandle, t: TraceColumns, q: string, abort: AbortSignal): Promise<Matches> {
  const { bytes, headers } = await getBinary(`/api/matches/${encodeURIComponent(id)}`, { q }, abort)
  const spans = Number(headers.get('Troupe-Trace-Spans') ?? t.count)
  if (spans !== t.count) return { count: 0, grown: true }
  return ofFound(await handle.rowsOf(new Uint32Array(bytes)))
}

async function askSpans(id: string, t: TraceColumns, q: string, abort: AbortSignal): Promise<Matches> {
  const part = TraceBuffer.read(new Uint8Array(await getBytes(`/api/v2/traces/${encodeURIComponent(id)}`, { q }, abort))).columns
  const ids = new Set<string>()
  for (let r = 0; r < part.count; r++) ids.add(spanID(part, r))
  return collect(t, (r) => ids.has(spanID(t, r)))
}

function collect(t: TraceColumns, fits: (row: number) => boolean): Matches {
  const rows = new Uint8Array(t.count)
  let count = 0
  for (let r = 0; r < t.count; r++) if (fits(r)) { rows[r] = 1; count++ }
  return { rows, count }
}
