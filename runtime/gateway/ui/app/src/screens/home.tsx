import { useState } from 'preact/hooks'
import { getJSON, getText, now } from '../api/client'
import { config } from '../api/config'
import { sampleValue, valueText, type SeriesAnswer } from '../api/types'
import { serviceColor } from '../draw/colors'
import { formatDuration, formatNumber, formatPercent, showText } from '../model/format'
import { findTraceID } from '../model/ids'
import { boundsOf, rangeParams } from '../model/range'
import { useAsk } from '../parts/ask'
import { Empty, Failure, Progress } from '../parts/states'
import { Waiting } from '../parts/bar'
import { addressOf, go, params } from '../router'
import { recentQueries } from '../settings'
import { writeString } from '../traceql/tokens'
import { range } from '../view'
import { examples } from './search'

export function HomeScreen() {
  const [text, setText] = useState('')
  const id = findTraceID(text)
  const isQuery = text.trim().startsWith('{') || text.trim().startsWith('(')
  const submit = () => { if (isQuery) go('search', { q: text.trim() }); else if (id) go(`trace/${id}`) }
  return (
    <>
      <section class="panel pad" aria-label="Find a trace" style={{ display: 'flex', flexDirection: 'column', gap: '8px' }}>
        <form class="query" onSubmit={(e) => { e.preventDefault(); submit() }}>
          <input type="search" id="query" class="mono" style={{ flex: 1, minHeight: '38px', minWidth: 0 }} autofocus value={text} onInput={(e) => setText(e.currentTarget.value)}
            aria-label="Trace id, anything that holds one, or a query" placeholder="Paste a trace id, a traceparent, a line of a log — or type a query: { status = error }" />
          <button class="primary" disabled={!id && !isQuery}>{isQuery ? 'Search' : 'Open'}</button>
        </form>
        <div class="faint" style={{ minHeight: '20px' }} role="status">{text.trim() === '' ? 'Ids are found in traceparent, uber-trace-id and b3 headers, in base64, in addresses and in lines of logs.' : isQuery ? 'A query in TraceQL' : id ? <>Trace <span class="mono">{id}</span></> : 'No trace id in this text.'}</div>
      </section>
      <Worst />
      <div class="grid-2">
        <section class="panel pad" aria-label="Recent queries">
          <h2 style={{ marginBottom: '6px' }}>{recentQueries.value.length ? 'Recent queries' : 'Queries to begin with'}</h2>
          <ul class="plain-list">{(recentQueries.value.length ? recentQueries.value.slice(0, 8).map((q) => [q, q]) : examples.map(([name, q]) => [q, name])).map(([q, name]) => (
            <li key={q}><a href={addressOf('search', { q })}><span class="mono">{q}</span></a>{name !== q && <span class="faint"> {name}</span>}</li>
          ))}</ul>
        </section>
        <NodeLine />
      </div>
    </>
  )
}

interface ServiceRow { name: string; rate: number; errors: number; p50: number; p99: number; before: number }

/** The services of the range, the worst first: by errors, then by how much slower they are than before. */
function Worst() {
  const r = range.value
  const entry = '{ kind = server || kind = consumer || nestedSetParent < 0 }'
  const given = rangeParams(r, now())
  const [from, to] = boundsOf(r, now())
  const seconds = Math.max(1, (to - from) / 1000)
  const before = { start: String(Math.floor((2 * from - to) / 1000)), end: String(Math.floor(from / 1000)) }
  const asked = useAsk<ServiceRow[]>(async (abort) => {
    const ask = (q: string, p: Record<string, string>) => getJSON<SeriesAnswer>('/api/metrics/query', { q, ...p }, abort)
    const by = 'by (resource.service.name)'
    const [counts, errors, quantiles, old] = await Promise.all([
      ask(`${entry} | count_over_time() ${by}`, given), ask(`${entry.replace('{ ', '{ (').replace(' }', ') && status = error }')} | count_over_time() ${by}`, given),
      ask(`${entry} | quantile_over_time(duration, .5, .99) ${by}`, given),
      ask(`${entry} | quantile_over_time(duration, .99) ${by}`, before).catch(() => ({ series: [] }) as SeriesAnswer),
    ])
    const rows = new Map<string, ServiceRow>()
    const label = (s: { labels?: { key: string; value: { stringValue?: string } }[] }, key: string) => s.labels?.find((l) => l.key === key)
    const rowOf = (s: SeriesAnswer['series'][0]): ServiceRow => {
      const name = valueText(label(s, 'resource.service.name')?.value)
      let x = rows.get(name)
      if (!x) rows.set(name, x = { name, rate: 0, errors: 0, p50: 0, p99: 0, before: 0 })
      return x
    }
    for (const s of counts.series ?? []) rowOf(s).rate = sampleValue(s.value) / seconds
    for (const s of errors.series ?? []) { const x = rowOf(s); x.errors = sampleValue(s.value) / Math.max(1, x.rate * seconds) }
    for (const s of quantiles.series ?? []) { const x = rowOf(s); if (valueText(label(s, 'p')?.value) === '0.5') x.p50 = sampleValue(s.value) * 1e9; else x.p99 = sampleValue(s.value) * 1e9 }
    for (const s of old.series ?? []) rowOf(s).before = sampleValue(s.value) * 1e9
    const slower = (x: ServiceRow) => (x.before > 0 ? x.p99 / x.before : 1)
    return [...rows.values()].filter((x) => x.rate > 0).sort((a, b) => b.errors - a.errors || slower(b) - slower(a)).slice(0, 8)
  }, [r.from, r.to, params.value.tenant])
  const rows = asked.answer ?? []
  return (
    <section class="panel" aria-label="Services" aria-busy={asked.busy}>
      <Progress active={asked.busy} />
      <div class="pad" style={{ paddingBottom: '6px' }}><h2>Services <span class="faint" style={{ fontWeight: 400 }}>by share of errors</span></h2></div>
      {asked.error && <div class="pad"><Failure error={asked.error} retry={asked.again} /></div>}
      {asked.busy && !asked.answer && <Waiting />}
      {!asked.busy && asked.answer && rows.length === 0 && <Empty title="No spans in this range"><p>Send OTLP to port 4317 (gRPC) or 4318 (HTTP), or the demo:</p><pre>troupectl load --demo</pre></Empty>}
      {rows.length > 0 && (
        <div class={'table-wrap' + (asked.busy ? ' dim' : '')}><table>
          <thead><tr><th>Service</th><th class="number">Requests / s</th><th class="number">Errors</th><th class="number">p50 ≈</th><th class="number">p99 ≈</th><th class="number">p99 before</th></tr></thead>
          <tbody>{rows.map((x) => {
            const q = `{ resource.service.name = ${writeString(x.name)} }`
            return (
              <tr key={x.name} class="link" onClick={() => go('search', { q: x.errors > 0 ? q.replace(' }', ' && status = error }') : q })}>
                <td><a class="row" style={{ color: 'inherit' }} href={addressOf('search', { q })}><span class="dot" style={{ background: serviceColor(x.name) }} /><strong>{showText(x.name) || <i>no name</i>}</strong></a></td>
                <td class="number">{formatNumber(x.rate)}</td>
                <td class="number">{x.errors > 0 ? <span class="pill error">{formatPercent(x.errors)}</span> : <span class="faint">0 %</span>}</td>
                <td class="number">{formatDuration(x.p50)}</td><td class="number">{formatDuration(x.p99)}</td>
                <td class="number muted">{x.before > 0 ? <>{formatDuration(x.before)} {x.p99 > 1.5 * x.before ? <span class="error-text">▲</span> : x.p99 < x.before / 1.5 ? <span class="ok-text">▼</span> : null}</> : '–'}</td>
              </tr>
            )
          })}</tbody>
        </table></div>
      )}
    </section>
  )
}

function NodeLine() {
  const ready = useAsk<string>((abort) => getText('/ready', abort), [])
  return (
    <section class="panel pad" aria-label="Node">
      <h2 style={{ marginBottom: '6px' }}>Node</h2>
      <div class="row"><span class={ready.error ? 'error-text' : 'ok-text'}>●</span>{ready.error ? ready.error.message : ready.answer?.trim() ?? '…'} <span class="faint">Troupe {config.value.version}</span></div>
      <p class="muted" style={{ margin: '8px 0 0' }}><a href={addressOf('node')}>Running queries, actors and what the node promises</a></p>
    </section>
  )
}
