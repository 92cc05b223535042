import { useEffect, useState } from 'preact/hooks'
import { readTraceFile, type FileTrace } from '../model/files'
import { formatCount } from '../model/format'
import { TraceHandle, type Opened } from '../model/tracehandle'
import { TraceView } from './traceview'

/** Traces of a file: nothing of it leaves this machine. */
export function FileScreen() {
  const [file, setFile] = useState<{ name: string; form: string; traces: FileTrace[] } | undefined>()
  const [at, setAt] = useState(0)
  const [error, setError] = useState('')
  const [over, setOver] = useState(false)
  const [opened, setOpened] = useState<{ handle: TraceHandle; opened: Opened; id: string } | undefined>()
  const read = async (f: File | undefined) => {
    if (!f) return
    setError('')
    try { const r = await readTraceFile(new Uint8Array(await f.arrayBuffer())); setAt(0); setFile({ name: f.name, ...r }) } catch (e) { setFile(undefined); setError(`${f.name}: ${(e as Error).message}`) }
  }
  useEffect(() => {
    if (!file) { setOpened(undefined); return }
    const handle = new TraceHandle(), t = file.traces[at]
    let gone = false
    handle.open(t.bytes.slice().buffer as ArrayBuffer, 'file').then((o) => { if (!gone) setOpened({ handle, opened: o, id: t.traceID }) }, (e: Error) => setError(e.message))
    return () => { gone = true; handle.close() }
  }, [file, at])
  const drop = (e: DragEvent) => { e.preventDefault(); setOver(false); void read(e.dataTransfer?.files[0]) }
  return (
    <div onDragOver={(e) => { e.preventDefault(); setOver(true) }} onDragLeave={() => setOver(false)} onDrop={drop} class={over ? 'drop over' : 'drop'}>
      <div class="spread pad" style={{ paddingBottom: '8px' }}>
        <div class="row"><h1>File</h1>{file && <span class="muted">{file.name} · {file.form} · {formatCount(file.traces.length)} {file.traces.length === 1 ? 'trace' : 'traces'}</span>}</div>
        <div class="row">
          {file && file.traces.length > 1 && <select aria-label="Trace" value={String(at)} onChange={(e) => setAt(Number(e.currentTarget.value))}>{file.traces.slice(0, 1000).map((t, i) => <option key={t.traceID} value={String(i)}>{t.traceID} ({formatCount(t.spans)} spans)</option>)}</select>}
          <label class="button">Choose a file<input type="file" class="visually-hidden" aria-label="Choose a file" onChange={(e) => void read(e.currentTarget.files?.[0])} /></label>
        </div>
      </div>
      {error && <div class="pad" style={{ paddingTop: '0' }}><div class="notice error" role="alert">{error}</div></div>}
      {opened && file ? <TraceView key={opened.id} local whole {...opened} /> : !error && (
        <div class="empty"><h2>Drop a file with traces here</h2><p class="muted">OTLP as JSON or protobuf, or an export of Jaeger or Zipkin; gzip too. The file is read on this machine and sent nowhere.</p></div>
      )}
    </div>
  )
}
