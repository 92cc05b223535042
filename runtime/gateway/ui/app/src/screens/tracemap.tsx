import { useEffect, useMemo, useState } from 'preact/hooks'
import { leftOutOf, ServiceMap } from '../draw/servicemap'
import { formatCount } from '../model/format'
import { chooseDrawn, edgesAround, type Edge } from '../model/servicemap'
import type { TraceHandle } from '../model/tracehandle'
import { addressOf, params, setParams } from '../router'
import { writeString } from '../traceql/tokens'
import { EdgesTable } from './edges'

const calls = (e: Edge) => `${formatCount(e.count)} ×`

/** Which services of a trace call which. */
export function TraceMap({ handle, onFilter }: { handle: TraceHandle; onFilter: (f: string) => void }) {
  const [edges, setEdges] = useState<Edge[] | undefined>()
  const focus = params.value.focus ?? ''
  useEffect(() => { let gone = false; void handle.edges().then((e) => { if (!gone) setEdges(e) }); return () => { gone = true } }, [handle])
  const near = useMemo(() => edgesAround(edges ?? [], focus, 1), [edges, focus])
  const drawn = useMemo(() => chooseDrawn(near, focus), [near, focus])
  if (!edges) return <p class="pad faint">Summing up …</p>
  if (edges.length === 0) return <p class="pad muted">No service of this trace calls another.</p>
  return (
    <div>
      {focus && <div class="row pad" style={{ paddingBottom: 0 }}><button onClick={() => setParams({ focus: undefined }, true)}>All services</button><button onClick={() => onFilter(`{ resource.service.name = ${writeString(focus)} }`)}>Its spans</button></div>}
      <ServiceMap drawn={drawn} focus={focus} count={calls} onFocus={(s) => setParams({ focus: s === focus ? undefined : s }, true)} onEdge={(e) => onFilter(`{ resource.service.name = ${writeString(e.client)} } > { resource.service.name = ${writeString(e.server)} }`)} />
      {leftOutOf(drawn) && <p class="pad faint" style={{ margin: 0 }}>{leftOutOf(drawn)}</p>}
      <div class="pad"><div class="panel"><EdgesTable edges={near} count={calls} label="Calls between services of this trace" address={(s) => addressOf(`services/${s}`)} /></div></div>
    </div>
  )
}
