import { useEffect, useMemo, useState } from 'preact/hooks'
import { now } from '../api/client'
import { leftOutOf, ServiceMap } from '../draw/servicemap'
import { showText } from '../model/format'
import { rangeParams } from '../model/range'
import { chooseDrawn, edgesAround } from '../model/servicemap'
import { useAsk } from '../parts/ask'
import { Waiting } from '../parts/bar'
import { Editor, errorPlace } from '../parts/editor'
import { Empty, Failure, Incomplete, Progress, Watermark } from '../parts/states'
import { addressOf, go, params, setParams } from '../router'
import { range } from '../view'
import { askEdges, callsQuery, EdgesTable, rateIn, readEdges, type EdgesAnswer } from './edges'

const depths: [string, string][] = [['1', 'neighbours'], ['2', 'two steps'], ['9', 'everything it reaches']]

/** Who calls whom, how often, and how well that goes. */
export function MapScreen() {
  const q = params.value.q ?? '', focus = params.value.focus ?? '', depth = params.value.depth ?? '1'
  const [text, setText] = useState(q)
  useEffect(() => setText(q), [q])
  const r = range.value
  const asked = useAsk<EdgesAnswer>((abort) => askEdges(q, r, abort), [q, r.from, r.to, params.value.tenant])
  const all = useMemo(() => readEdges(asked.answer), [asked.answer])
  const near = useMemo(() => edgesAround(all, focus, Number(depth)), [all, focus, depth])
  const drawn = useMemo(() => chooseDrawn(near, focus), [near, focus])
  const count = useMemo(() => rateIn(r), [asked.answer])
  const run = (next: string) => (next === q ? asked.again() : setParams({ q: next || undefined }))
  const onFocus = (service: string) => setParams({ focus: service === focus ? undefined : service })
  return (
    <>
      <section class="panel pad" aria-label="Query" style={{ display: 'flex', flexDirection: 'column', gap: '10px' }}>
        <div class="query">
          <Editor value={q} label="Calls that count, in TraceQL" onChange={setText} onRun={run} time={() => rangeParams(range.peek(), now())} error={asked.error && errorPlace(asked.error.message)} />
          {asked.busy ? <button onClick={asked.cancel}>Cancel</button> : <button class="primary" onClick={() => run(text)}>Run</button>}
        </div>
      </section>
      {asked.error && <Failure error={asked.error} retry={asked.again} path="/api/edges" given={{ q, ...rangeParams(r, now()) }} />}
      <Incomplete answer={asked.answer} />
      <section class="panel" aria-label="Map" aria-busy={asked.busy}>
        <Progress active={asked.busy} done={asked.answer?.metrics?.completedJobs} total={asked.answer?.metrics?.totalJobs} />
        <div class="spread pad" style={{ paddingBottom: '8px' }}>
          <div class="row"><h1>{focus ? showText(focus) : 'Services and their calls'}</h1><Watermark answer={asked.busy ? undefined : asked.answer} /></div>
          {focus && (
            <div class="row">
              <label class="muted">Shown <select aria-label="How far around" value={depth} onChange={(e) => setParams({ depth: e.currentTarget.value === '1' ? undefined : e.currentTarget.value })}>{depths.map(([d, name]) => <option key={d} value={d}>{name}</option>)}</select></label>
              <a class="button" href={addressOf(`services/${focus}`)}>Operations</a>
              <button onClick={() => setParams({ focus: undefined, depth: undefined })}>All services</button>
            </div>
          )}
        </div>
        <div class={asked.busy ? 'dim' : ''}>
          {asked.busy && !asked.answer && <Waiting />}
          {drawn.edges.length > 0 && <ServiceMap drawn={drawn} focus={focus} count={count} onFocus={onFocus} onEdge={(e) => go('search', { q: callsQuery(e) })} />}
          {leftOutOf(drawn) && <p class="pad faint" style={{ margin: 0 }}>{leftOutOf(drawn)}</p>}
          {asked.answer && !asked.busy && near.length === 0 && (
            <Empty title={focus ? 'Nothing calls this service, and it calls nothing' : 'No calls between services in this range'}>
              {focus ? <button onClick={() => setParams({ focus: undefined })}>All services</button> : <a class="button" href={addressOf('sending')}>Is anything sending?</a>}
            </Empty>
          )}
        </div>
      </section>
      {near.length > 0 && <section class={'panel' + (asked.busy ? ' dim' : '')} aria-label="Calls"><EdgesTable edges={near} count={count} label="Calls between services" address={(s) => addressOf('map', { q, focus: s, depth: params.value.depth })} /></section>}
    </>
  )
}
