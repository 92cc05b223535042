import { useMemo, useState } from 'preact/hooks'
import { getEvents, now } from '../api/client'
import { sampleValue, valueText, type SeriesAnswer, type SeriesJSON } from '../api/types'
import { Lines, seriesColor, type Dot, type Line } from '../draw/lines'
import { formatNumber, showText } from '../model/format'
import { absoluteRange, rangeParams } from '../model/range'
import { useAsk } from '../parts/ask'
import { Empty, Failure, Incomplete, Progress, Watermark } from '../parts/states'
import { go, params, setParams } from '../router'
import { range, setRange } from '../view'

export function seriesName(s: SeriesJSON): string {
  const labels = s.labels ?? []
  if (labels.length === 0) return 'value'
  if (labels.length === 1 && labels[0].key === '__name__') return valueText(labels[0].value)
  return labels.map((l) => `${l.key.replace(/^resource\./, '')}=${valueText(l.value)}`).join(' ')
}

/** The answer of a metrics query as lines and a table. */
export function MetricsResult({ query }: { query: string }) {
  const r = range.value
  const step = params.value.step
  const given = { q: query, step, ...rangeParams(r, now()) }
  const asked = useAsk<SeriesAnswer>((abort, progress) => getEvents('/api/metrics/query_range', given, progress, abort), [query, step, r.from, r.to, params.value.tenant])
  const [hidden, setHidden] = useState<Set<string>>(new Set())
  const { times, lines, dots } = useMemo(() => layOut(asked.answer?.series ?? []), [asked.answer])
  const shown = useMemo(() => lines.map((l, i) => ({ ...l, shown: !hidden.has(l.name) && i < 200 })), [lines, hidden])
  const busyEmpty = asked.busy && lines.length === 0
  return (
    <>
      {asked.error && <Failure error={asked.error} retry={asked.again} path="/api/metrics/query_range" given={given} />}
      <Incomplete answer={asked.answer} />
      <section class="panel" aria-label="Series" aria-busy={asked.busy}>
        <Progress active={asked.busy} done={asked.answer?.metrics?.completedJobs} total={asked.answer?.metrics?.totalJobs} />
        <div class="spread pad" style={{ paddingBottom: '4px' }}>
          <div class="row"><h2>{busyEmpty ? 'Computing' : `${lines.length} series`}</h2><Watermark answer={asked.busy ? undefined : asked.answer} /></div>
          <div class="row">
            {asked.busy && <button onClick={asked.cancel}>Cancel</button>}
            <label class="muted">Step <select value={step ?? ''} onChange={(e) => setParams({ step: e.currentTarget.value || undefined }, true)}>
              <option value="">automatic</option>{['1s', '5s', '15s', '30s', '1m', '5m', '15m', '1h'].map((s) => <option key={s}>{s}</option>)}
            </select></label>
          </div>
        </div>
        <div class={asked.busy && lines.length > 0 ? 'dim pad' : 'pad'}>
          {lines.length > 0 && <Lines times={times} lines={shown} dots={dots} onRange={(a, b) => setRange(absoluteRange(a, b))} onTrace={(id) => go(`trace/${id.padStart(32, '0')}`)} />}
          {lines.length > 200 && <p class="faint">The first 200 series are drawn; the table has all.</p>}
          {!asked.busy && asked.answer && lines.length === 0 && <Empty title="No series in this range"><p>No span of the range leaves the query's filters with a value.</p></Empty>}
        </div>
        {lines.length > 0 && (
          <div class="table-wrap"><table class="legend">
            <thead><tr><th>Series</th><th class="number">Last</th><th class="number">Mean</th><th class="number">Largest</th></tr></thead>
            <tbody>{lines.map((l, i) => {
              const values = l.values.filter((v): v is number => v !== null)
              return (
                <tr key={l.name}>
                  <td><button class="plain" style={{ padding: '2px 6px', opacity: hidden.has(l.name) ? .45 : 1 }} aria-label={`${l.name}, ${hidden.has(l.name) ? 'hidden' : 'shown'}`} title="Show only this one, or all again" onClick={(e) => {
                    const all = lines.map((x) => x.name)
                    const only = all.filter((n) => n !== l.name)
                    setHidden(e.ctrlKey || e.metaKey ? new Set(hidden.has(l.name) ? [...hidden].filter((n) => n !== l.name) : [...hidden, l.name]) : hidden.size === only.length && !hidden.has(l.name) ? new Set() : new Set(only))
                  }}><span class="dot" style={{ background: seriesColor(i) }} />{showText(l.name)}</button></td>
                  <td class="number">{formatNumber(values[values.length - 1] ?? 0)}</td>
                  <td class="number">{formatNumber(values.reduce((s, v) => s + v, 0) / Math.max(1, values.length))}</td>
                  <td class="number">{formatNumber(values.reduce((m, v) => Math.max(m, v), 0))}</td>
                </tr>
              )
            })}</tbody>
          </table></div>
        )}
      </section>
    </>
  )
}

function layOut(series: SeriesJSON[]): { times: number[]; lines: Omit<Line, 'shown'>[]; dots: Dot[] } {
  const all = new Set<number>()
  for (const s of series) for (const p of s.samples ?? []) all.add(Number(p.timestampMs))
  let times = [...all].sort((a, b) => a - b)
  if (times.length > 1) {
    let step = Infinity
    for (let i = 1; i < times.length; i++) step = Math.min(step, times[i] - times[i - 1])
    const whole: number[] = []
    for (let t = times[0]; t <= times[times.length - 1] && whole.length < 20_000; t += step) whole.push(t)
    const late = now() + 2 * step
    times = whole.filter((t) => t <= late)
  }
  const at = new Map(times.map((t, i) => [t, i]))
  const lines = series.filter((s) => (s.samples ?? []).length > 0).map((s) => {
    const values: (number | null)[] = times.map(() => null)
    for (const p of s.samples ?? []) { const i = at.get(Number(p.timestampMs)); if (i !== undefined) values[i] = sampleValue(p.value) }
    return { name: seriesName(s), values }
  })
  const dots: Dot[] = series.flatMap((s) => (s.exemplars ?? []).map((e) => ({ time: Number(e.timestampMs), value: e.value ?? 0, traceID: valueText(e.labels?.find((l) => l.key === 'trace:id')?.value) }))).filter((d) => d.traceID)
  return { times, lines, dots }
}
