import { useEffect, useState } from 'preact/hooks'
import { aborted, APIError, getBinary, getBytes } from '../api/client'
import { config, has } from '../api/config'
import type { TraceColumns } from '../model/trace'
import { nameOf, serviceOf } from '../model/trace'
import { TraceHandle, type Opened } from '../model/tracehandle'
import { Empty, Failure, Incomplete, Progress } from '../parts/states'
import { addressOf, params, place } from '../router'
import { TraceView } from './traceview'

/** An opened trace. whole says whether all that its spans say is in the worker, and not only the outline. */
export interface Loaded { handle: TraceHandle; opened: Opened; whole: boolean }

/** Up to this size a trace that was opened by its outline is loaded whole, too, while one looks at it. */
const mostWhole = 16 << 20

async function load(id: string, abort: AbortSignal, handle: TraceHandle, show: (l: Loaded) => void): Promise<void> {
  const whole = () => getBytes(`/api/v2/traces/${id}`, {}, abort)
  if (!has('outline')) {
    const bytes = await whole()
    performance.mark('answer')
    show({ handle, opened: await handle.open(bytes, 'answer'), whole: true })
    return
  }
  const { bytes } = await getBinary(`/api/outline/${id}`, {}, abort)
  performance.mark('answer')
  const opened = await handle.open(bytes, 'outline')
  show({ handle, opened, whole: false })
  if (opened.bytes > mostWhole) return
  try {
    await handle.add(await whole())
    show({ handle, opened, whole: true })
  } catch { /* What is not here is asked of the node when one looks at it, and an error is told then. */ }
}

export function TraceScreen() {
  const id = (place.value.path[1] ?? '').toLowerCase()
  const [loaded, setLoaded] = useState<Loaded | undefined>()
  const [error, setError] = useState<Error | undefined>()
  const [turn, setTurn] = useState(0)
  const again = () => setTurn((t) => t + 1)
  useEffect(() => {
    const abort = new AbortController()
    const handle = new TraceHandle((ids) => getBytes(`/api/spans/${id}`, { ids: ids.join() }, abort.signal))
    setError(undefined); setLoaded(undefined)
    load(encodeURIComponent(id), abort.signal, handle, (l) => { performance.mark('model'); if (!abort.signal.aborted) setLoaded(l) })
      .catch((err: Error) => { if (!aborted(err)) setError(err) })
    return () => { abort.abort(); handle.close() }
  }, [id, params.value.tenant, turn])
  useEffect(() => { document.title = loaded ? `${rootTitle(loaded.opened)} – ${config.value.title}` : config.value.title }, [loaded])

  if (error instanceof APIError && error.status === 404) return <NotThere id={id} again={again} />
  if (error) return <div class="pad"><Failure error={error} retry={again} path={`/api/${has('outline') ? 'outline' : 'v2/traces'}/${id}`} /></div>
  if (!loaded) return <div><Progress active /><p class="pad faint">Opening trace {id} …</p></div>
  if (loaded.opened.columns.count === 0) return <NotThere id={id} again={again} columns={loaded.opened.columns} />
  return <TraceView key={id} id={id} again={again} {...loaded} />
}

function NotThere({ id, again, columns }: { id: string; again: () => void; columns?: TraceColumns }) {
  return (
    <div class="pad">{columns && <Incomplete answer={{ complete: columns.complete, warnings: columns.warnings, message: columns.message }} />}
      <Empty title="There is no trace with this id">
        <p class="mono">{id}</p>
        <p>It may not have been sent, may have been sent to another tenant, or its id may be cut short.</p>
        <div class="row"><button onClick={again}>Look again</button><a class="button" href={addressOf('search')}>Search</a></div>
      </Empty>
    </div>
  )
}

function rootTitle({ columns: t, root }: Opened): string {
  return root >= 0 ? `${serviceOf(t, root)}: ${nameOf(t, root)}` : t.count > 0 ? `root span not yet received (${serviceOf(t, 0)})` : 'no spans'
}
