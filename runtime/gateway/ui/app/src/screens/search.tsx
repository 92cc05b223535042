import { useEffect, useState } from 'preact/hooks'
import { getEvents, now } from '../api/client'
import { config } from '../api/config'
import type { SearchAnswer } from '../api/types'
import { boundsOf, absoluteRange, rangeParams } from '../model/range'
import { Editor, errorPlace } from '../parts/editor'
import { FilterForm } from '../parts/filterform'
import { speak } from '../parts/live'
import { useAsk } from '../parts/ask'
import { later } from '../parts/later'
import { Empty, Failure, Incomplete, Progress, Watermark } from '../parts/states'
import { addressOf, go, params, setParams } from '../router'
import { recentQueries, rememberQuery } from '../settings'
import { addCondition, dropCondition, isMetrics } from '../traceql/tokens'
import { range, setRange } from '../view'
import { openMenu } from '../parts/menu'
import { FoundSpans, FoundTraces, foundPoints } from './found'
import { Histogram } from './histogram'
import { Facets } from './facets'
import { Scatter } from '../draw/scatter'
import { formatDuration } from '../model/format'

/** The lines and their library come when the first metrics query does. */
const MetricsResult = later(() => import('./metrics').then((m) => m.MetricsResult))

export const examples: [string, string][] = [
  ['errors', '{ status = error }'],
  ['slow traces', '{ trace:duration > 500ms }'],
  ['entry points', '{ nestedSetParent < 0 }'],
  ['errors below a server span', '{ kind = server } >> { status = error }'],
  ['rate by service', '{ kind = server } | rate() by (resource.service.name)'],
  ['latency', '{ } | quantile_over_time(duration, .5, .95, .99)'],
]

export function SearchScreen() {
  const q = params.value.q ?? config.value.defaultQuery
  const [text, setText] = useState(q)
  useEffect(() => setText(q), [q])
  const metrics = isMetrics(q)
  const limit = Math.min(Number(params.value.limit) || 100, config.value.limits.searchLimit - 1)
  const view = params.value.view ?? 'traces'
  const r = range.value
  const time = () => rangeParams(range.peek(), now())
  const given = { q: q || '{ }', limit: limit + 1, spss: 3, ...rangeParams(r, now()) }
  const found = useAsk<SearchAnswer>(metrics ? undefined : (abort, progress) => getEvents('/api/search', given, progress, abort), [q, limit, r.from, r.to, params.value.tenant, metrics])
  const run = (query: string) => {
    rememberQuery(query)
    if (query === q) found.again()
    else setParams({ q: query || undefined, cols: undefined })
  }
  const traces = found.answer?.traces ?? []
  const more = traces.length > limit
  const rows = more ? traces.slice(0, limit) : traces
  useEffect(() => {
    if (!found.busy && found.answer) { performance.mark('answer'); speak(`${rows.length} traces${more ? ' of more' : ''}`) }
  }, [found.busy, found.answer])
  const narrow = (condition: string) => run(addCondition(q, condition))
  const place = found.error && errorPlace(found.error.message)
  const [from, to] = boundsOf(r, now())

  return (
    <>
      <section class="panel pad" aria-label="Query" style={{ display: 'flex', flexDirection: 'column', gap: '10px' }}>
        <div class="query">
          <Editor value={q} hint="{ }   all spans — type { to begin, or choose below" onChange={setText} onRun={run} time={time} error={place} />
          {found.busy && !metrics ? <button onClick={found.cancel}>Cancel</button> : <button class="primary" onClick={() => run(text)}>Run</button>}
          <button class="plain icon" title="Recent queries and examples" aria-label="Recent queries and examples" style={{ minHeight: '38px' }} onClick={(e) => openMenu(e, {
            items: [
              ...(recentQueries.value.length ? [{ label: 'Recent', heading: true }, ...recentQueries.value.slice(0, 8).map((x) => ({ label: x, run: () => run(x) })), 'line' as const] : []),
              { label: 'Examples', heading: true },
              ...examples.map(([name, x]) => ({ label: `${name}: ${x}`, run: () => run(x) })),
            ],
          })}>⋯</button>
        </div>
        {!isMetrics(text) && <FilterForm query={text} time={time} onChange={(next) => { setText(next); run(next) }} />}
      </section>

      {metrics ? <MetricsResult query={q} /> : (
        <>
          <section class="panel pad" aria-label="Spans over time" style={{ paddingTop: '8px', paddingBottom: '8px' }}>
            <Histogram query={q || '{ }'} onRange={(a, b) => setRange(absoluteRange(a, b))} />
          </section>
          <Facets query={q || '{ }'} onChoose={narrow} />
          {found.error && <Failure error={found.error} retry={found.again} path="/api/search" given={given} />}
          <Incomplete answer={found.answer} />
          <section class="panel" aria-label="Results" aria-busy={found.busy}>
            <Progress active={found.busy} done={found.answer?.metrics?.completedJobs} total={found.answer?.metrics?.totalJobs} />
            <div class="spread pad" style={{ paddingBottom: '8px' }}>
              <div class="row">
                <h2>{found.answer ? `${more ? 'The newest ' : ''}${rows.length} ${rows.length === 1 ? 'trace' : 'traces'}${more ? ' of more' : ''}` : found.busy ? 'Searching' : 'Traces'}</h2>
                {more && <button class="plain" onClick={() => setParams({ limit: String(limit * 5) })}>Show {limit * 5}</button>}
                <Watermark answer={found.busy ? undefined : found.answer} />
              </div>
              <div class="row">
                <div class="tabs" role="group" aria-label="View">
                  {['traces', 'spans', 'scatter'].map((v) => <button key={v} aria-pressed={view === v} onClick={() => setParams({ view: v === 'traces' ? undefined : v }, true)}>{v[0].toUpperCase() + v.slice(1)}</button>)}
                </div>
                <a class="button" href={addressOf('explain', { q })}>Explain</a>
              </div>
            </div>
            <div class={found.busy ? 'dim' : ''}>
              {rows.length > 0 && view === 'traces' && <FoundTraces traces={rows} query={q} />}
              {rows.length > 0 && view === 'spans' && <FoundSpans traces={rows} query={q} />}
              {rows.length > 0 && view === 'scatter' && (
                <div class="pad">
                  <Scatter points={foundPoints(rows)} from={from} to={to} onOpen={(id) => go(`trace/${id}`, { f: q || undefined })}
                    onBox={(a, b, min, max) => { setParams({ ...absoluteRange(a, b), q: addCondition(q, `trace:duration > ${wholeDuration(min)} && trace:duration <= ${wholeDuration(max)}`) }) }} />
                </div>
              )}
              {found.answer && !found.busy && rows.length === 0 && <NothingFound query={q} onRun={run} />}
            </div>
          </section>
        </>
      )}
    </>
  )
}

/** A duration as a literal of TraceQL, in whole microseconds. */
function wholeDuration(ns: number): string { return `${Math.max(1, Math.round(ns / 1e3))}us` }

function NothingFound({ query, onRun }: { query: string; onRun: (q: string) => void }) {
  const fewer = dropCondition(query)
  const any = useAsk<SearchAnswer>((abort, progress) => getEvents('/api/search', { q: '{ }', limit: 1, since: '168h' }, progress, abort), [params.value.tenant])
  const newest = any.answer?.traces?.[0]
  return (
    <Empty title={query && query.replace(/\s/g, '') !== '{}' ? 'No spans match in this range' : 'No spans in this range'}>
      {newest ? (
        <>
          <p>The newest trace of the last week started {formatDuration((Math.round((now() - Number(BigInt(newest.startTimeUnixNano) / 1_000_000n)) / 1000)) * 1e9)} ago.</p>
          <div class="row">
            {fewer && <button onClick={() => onRun(fewer)}>Drop the last condition</button>}
            <button onClick={() => setRange({ from: 'now-24h', to: 'now' })}>Last 24 hours</button>
            <button onClick={() => { const t = Number(BigInt(newest.startTimeUnixNano) / 1_000_000n); setRange(absoluteRange(t - 1_800_000, t + 1_800_000)) }}>Around the newest trace</button>
          </div>
        </>
      ) : any.busy ? <p class="faint">Looking for the newest trace …</p> : (
        <>
          <p>This tenant has sent nothing in the last week. Send OTLP to port 4317 (gRPC) or 4318 (HTTP), or the demo:</p>
          <pre>troupectl load --demo</pre>
        </>
      )}
    </Empty>
  )
}
