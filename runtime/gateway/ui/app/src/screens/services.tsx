import { useMemo } from 'preact/hooks'
import { getJSON, now } from '../api/client'
import { has } from '../api/config'
import { sampleValue, valueText, type SeriesAnswer, type SeriesJSON } from '../api/types'
import { serviceColor } from '../draw/colors'
import { Spark } from '../draw/spark'
import { formatDuration, formatNumber, formatPercent, showText } from '../model/format'
import { boundsOf, rangeParams, type Range } from '../model/range'
import { useAsk } from '../parts/ask'
import { Waiting } from '../parts/bar'
import { Empty, Failure, Incomplete, Progress } from '../parts/states'
import { addressOf, go, params, place, setParams } from '../router'
import { addCondition, writeString } from '../traceql/tokens'
import { range } from '../view'
import { askEdges, EdgesTable, rateIn, readEdges, type EdgesAnswer } from './edges'
import { niceStep } from './histogram'

/** Which spans count as requests of a service. */
const entries: Record<string, [string, string]> = {
  entry: ['Entry spans', '{ kind = server || kind = consumer || nestedSetParent < 0 }'],
  roots: ['Roots only', '{ nestedSetParent < 0 }'],
  all: ['All spans', '{ }'],
}

interface Row { name: string; rate: number; errors: number; p50: number; p95: number; p99: number; before: number; rates: number[]; failures: number[] }
interface Asked { rows: Row[]; answer: SeriesAnswer }

/** What a range was one period or some days before. */
function baseParams(r: Range, base: string): Record<string, string> {
  const [from, to] = boundsOf(r, now())
  const shift = base === '1d' ? 86_400_000 : base === '7d' ? 604_800_000 : to - from
  return { start: String(Math.floor((from - shift) / 1000)), end: String(Math.floor((to - shift) / 1000)) }
}

/** Rates, errors and durations of the spans of a query by a field, and what they were before. */
async function askRED(query: string, field: string, r: Range, base: string, abort: AbortSignal): Promise<Asked> {
  const by = `by (${field})`
  const [from, to] = boundsOf(r, now())
  const step = niceStep(to - from, 30), seconds = (to - from) / 1000
  const given = rangeParams(r, now())
  const overTime = (q: string) => getJSON<SeriesAnswer>('/api/metrics/query_range', { q, step: `${step}ms`, exemplars: 0, ...given }, abort)
  const [rates, failures, quantiles, before] = await Promise.all([
    overTime(`${query} | count_over_time() ${by}`), overTime(`${addCondition(query, 'status = error')} | count_over_time() ${by}`),
    getJSON<SeriesAnswer>('/api/metrics/query', { q: `${query} | quantile_over_time(duration, .5, .95, .99) ${by}`, ...given }, abort),
    getJSON<SeriesAnswer>('/api/metrics/query', { q: `${query} | quantile_over_time(duration, .95) ${by}`, ...baseParams(r, base) }, abort).catch(() => ({ series: [] }) as SeriesAnswer),
  ])
  const rows = new Map<string, Row>()
  const labelOf = (s: SeriesJSON) => valueText(s.labels?.find((l) => l.key !== 'p')?.value)
  const rowOf = (s: SeriesJSON): Row => {
    const name = labelOf(s)
    let x = rows.get(name)
    if (!x) rows.set(name, x = { name, rate: 0, errors: 0, p50: 0, p95: 0, p99: 0, before: 0, rates: [], failures: [] })
    return x
  }
  const samples = (s: SeriesJSON) => (s.samples ?? []).filter((p) => Number(p.timestampMs) <= now() + step).map((p) => sampleValue(p.value))
  let total = 0
  for (const s of rates.series ?? []) { const x = rowOf(s); x.rates = samples(s); total = x.rates.reduce((n, v) => n + v, 0); x.rate = total / seconds }
  for (const s of failures.series ?? []) { const x = rowOf(s); x.failures = samples(s); x.errors = x.failures.reduce((n, v) => n + v, 0) / Math.max(1, x.rate * seconds) }
  for (const s of quantiles.series ?? []) { const x = rowOf(s), p = valueText(s.labels?.find((l) => l.key === 'p')?.value), v = sampleValue(s.value) * 1e9; if (p === '0.5') x.p50 = v; else if (p === '0.95') x.p95 = v; else x.p99 = v }
  for (const s of before.series ?? []) { const x = rows.get(labelOf(s)); if (x) x.before = sampleValue(s.value) * 1e9 }
  const warnings = [...new Set([rates, failures, quantiles].flatMap((a) => a.warnings ?? []))]
  return { rows: [...rows.values()].filter((x) => x.rate > 0), answer: { series: [], complete: [rates, failures, quantiles].every((a) => a.complete !== false), warnings } }
}

export function ServicesScreen() {
  const name = place.value.path[1]
  return name === undefined ? <Services /> : <Service name={name} />
}

function Controls({ children }: { children?: preact.ComponentChildren }) {
  const kind = params.value.spans && entries[params.value.spans] ? params.value.spans : 'entry'
  return (
    <div class="row">
      {children}
      <label class="muted">Spans <select value={kind} onChange={(e) => setParams({ spans: e.currentTarget.value === 'entry' ? undefined : e.currentTarget.value })}>{Object.entries(entries).map(([k, [n]]) => <option key={k} value={k}>{n}</option>)}</select></label>
      <label class="muted">Compared with <select value={params.value.base ?? 'prev'} onChange={(e) => setParams({ base: e.currentTarget.value === 'prev' ? undefined : e.currentTarget.value })}><option value="prev">the time before</option><option value="1d">a day ago</option><option value="7d">a week ago</option></select></label>
    </div>
  )
}

const entryQuery = () => entries[params.value.spans ?? 'entry']?.[1] ?? entries.entry[1]

function Services() {
  const r = range.value, base = params.value.base ?? 'prev', q = entryQuery()
  const asked = useAsk<Asked>((abort) => askRED(q, 'resource.service.name', r, base, abort), [q, r.from, r.to, base, params.value.tenant])
  return (
    <>
      <div class="spread"><h1>Services</h1><Controls /></div>
      {asked.error && <Failure error={asked.error} retry={asked.again} />}
      <Incomplete answer={asked.answer?.answer} />
      <RED asked={asked} label="Service" nameOf={(x) => <span class="row"><span class="dot" style={{ background: serviceColor(x.name) }} /><strong>{showText(x.name) || <i>no name</i>}</strong></span>} address={(x) => addressOf(`services/${x.name}`, { spans: params.value.spans, base: params.value.base })} onOpen={(x) => go(`services/${x.name}`, { spans: params.value.spans, base: params.value.base })} />
    </>
  )
}

function Service({ name }: { name: string }) {
  const r = range.value, base = params.value.base ?? 'prev'
  const q = addCondition(entryQuery(), `resource.service.name = ${writeString(name)}`)
  const asked = useAsk<Asked>((abort) => askRED(q, 'name', r, base, abort), [q, r.from, r.to, base, params.value.tenant])
  return (
    <>
      <div class="spread">
        <h1><a href={addressOf('services')}>Services</a> <span class="faint">/</span> <span class="dot" style={{ background: serviceColor(name) }} /> {showText(name)}</h1>
        <Controls><a class="button" href={addressOf('compare', { q })}>Compare</a><a class="button" href={addressOf('search', { q: `{ resource.service.name = ${writeString(name)} }` })}>Traces</a></Controls>
      </div>
      {asked.error && <Failure error={asked.error} retry={asked.again} />}
      <Incomplete answer={asked.answer?.answer} />
      <RED asked={asked} label="Operation" nameOf={(x) => <strong>{showText(x.name) || <i>no name</i>}</strong>} address={(x) => addressOf('search', { q: addCondition(q, `name = ${writeString(x.name)}`) })} onOpen={(x) => go('search', { q: addCondition(q, `name = ${writeString(x.name)}`) })} />
      {has('edges') && <Neighbours name={name} />}
      <div class="grid-2">
        <Top title="Errors say" query={addCondition(`{ resource.service.name = ${writeString(name)} }`, 'status = error')} field="statusMessage" />
        <Top title="Versions" query={`{ resource.service.name = ${writeString(name)} }`} field="resource.service.version" />
      </div>
    </>
  )
}

/** Who calls a service, and whom it calls. */
function Neighbours({ name }: { name: string }) {
  const r = range.value
  const asked = useAsk<EdgesAnswer>((abort) => askEdges('', r, abort), [r.from, r.to, params.value.tenant])
  const all = useMemo(() => readEdges(asked.answer), [asked.answer])
  const count = useMemo(() => rateIn(r), [asked.answer])
  const address = (s: string) => addressOf(`services/${s}`, { spans: params.value.spans, base: params.value.base })
  return (
    <>
      {asked.error && <Failure error={asked.error} retry={asked.again} path="/api/edges" />}
      <Incomplete answer={asked.answer} />
      {([['Called by', all.filter((e) => e.server === name), 'server'], ['Calls', all.filter((e) => e.client === name), 'client']] as const).map(([title, edges, without]) => (
        <section key={title} class="panel" aria-label={title}>
          <div class="spread pad" style={{ paddingBottom: '6px' }}><h2>{title}</h2><a href={addressOf('map', { focus: name })}>Map</a></div>
          {edges.length > 0 ? <EdgesTable edges={edges} count={count} label={title} address={address} without={without} /> : <p class="pad faint" style={{ margin: 0, paddingTop: 0 }}>{asked.busy ? 'Counting …' : 'Nothing'}</p>}
        </section>
      ))}
    </>
  )
}

/** The most frequent values of a field of some spans. */
function Top({ title, query, field }: { title: string; query: string; field: string }) {
  const r = range.value
  const text = `${query} | count_over_time() by (${field}) | topk(8)`
  const asked = useAsk<SeriesAnswer>((abort) => getJSON('/api/metrics/query', { q: text, ...rangeParams(r, now()) }, abort), [text, r.from, r.to, params.value.tenant])
  const rows = (asked.answer?.series ?? []).map((s) => ({ name: valueText(s.labels?.[0]?.value), n: sampleValue(s.value) })).filter((x) => x.n > 0).sort((a, b) => b.n - a.n)
  const max = Math.max(1, ...rows.map((x) => x.n))
  return (
    <section class="panel pad" aria-label={title}>
      <h2 style={{ marginBottom: '6px' }}>{title}</h2>
      {asked.error ? <Failure error={asked.error} retry={asked.again} /> : rows.length === 0 ? <p class="faint" style={{ margin: '0' }}>{asked.busy ? 'Counting …' : 'Nothing'}</p> : rows.map((x) => (
        <a key={x.name} class="facet-row" style={{ color: 'inherit' }} href={addressOf('search', { q: addCondition(query, x.name === 'nil' ? `${field} = nil` : `${field} = ${writeString(x.name)}`) })}>
          <span class="facet-bar" style={{ width: `${100 * x.n / max}%` }} /><span class="cut">{x.name === 'nil' ? <i>not set</i> : showText(x.name) || <i>no message</i>}</span><span class="number">{formatNumber(x.n)}</span>
        </a>
      ))}
    </section>
  )
}

const keys = ['name', 'rate', 'errors', 'p50', 'p95', 'p99', 'change'] as const
type Key = typeof keys[number]

function RED({ asked, label, nameOf, address, onOpen }: { asked: ReturnType<typeof useAsk<Asked>>; label: string; nameOf: (x: Row) => preact.ComponentChildren; address: (x: Row) => string; onOpen: (x: Row) => void }) {
  const by = keys.find((k) => k === params.value.by) ?? 'rate'
  const change = (x: Row) => (x.before > 0 ? x.p95 / x.before : NaN)
  const valueOf = (x: Row): number | string => (by === 'name' ? x.name : by === 'change' ? change(x) || 0 : x[by])
  const rows = [...(asked.answer?.rows ?? [])].sort((a, b) => { const u = valueOf(a), v = valueOf(b); return by === 'name' ? (u < v ? -1 : 1) : Number(v) - Number(u) || (a.name < b.name ? -1 : 1) })
  const head = (id: Key, text: string) => <th class={id === 'name' ? '' : 'number'} aria-sort={by === id ? (id === 'name' ? 'ascending' : 'descending') : undefined}><button onClick={() => setParams({ by: id === 'rate' ? undefined : id }, true)}>{text}{by === id && (id === 'name' ? ' ↑' : ' ↓')}</button></th>
  return (
    <section class="panel" aria-label={label + 's'} aria-busy={asked.busy}>
      <Progress active={asked.busy} />
      {asked.busy && !asked.answer && <Waiting />}
      {!asked.busy && asked.answer && rows.length === 0 && <Empty title="No spans in this range"><a class="button" href={addressOf('sending')}>Is anything sending?</a></Empty>}
      {rows.length > 0 && (
        <div class={'table-wrap' + (asked.busy ? ' dim' : '')}><table>
          <thead><tr>{head('name', label)}{head('rate', 'Requests / s')}<th /> {head('errors', 'Errors')}<th />{head('p50', 'p50 ≈')}{head('p95', 'p95 ≈')}{head('p99', 'p99 ≈')}{head('change', 'p95 before')}</tr></thead>
          <tbody>{rows.slice(0, 500).map((x) => (
            <tr key={x.name} class="link" onClick={(e) => { if (!(e.target as Element).closest('a')) onOpen(x) }}>
              <td><a href={address(x)} style={{ color: 'inherit' }}>{nameOf(x)}</a></td>
              <td class="number">{formatNumber(x.rate)}</td><td><Spark values={x.rates} color="accent" /></td>
              <td class="number">{x.errors > 0 ? <span class="pill error">{formatPercent(x.errors)}</span> : <span class="faint">0 %</span>}</td><td>{x.errors > 0 && <Spark values={x.failures} color="error" />}</td>
              <td class="number">{formatDuration(x.p50)}</td><td class="number">{formatDuration(x.p95)}</td><td class="number">{formatDuration(x.p99)}</td>
              <td class="number muted">{x.before > 0 ? <>{formatDuration(x.before)} {change(x) > 1.25 ? <span class="error-text" title="slower">▲ {formatNumber(change(x))}×</span> : change(x) < 0.8 ? <span class="ok-text" title="faster">▼ {formatNumber(1 / change(x))}×</span> : ''}</> : '–'}</td>
            </tr>
          ))}</tbody>
        </table></div>
      )}
    </section>
  )
}
