import { getJSON, now } from '../api/client'
import { sampleValue, type SeriesAnswer } from '../api/types'
import { Bars, type Layer } from '../draw/bars'
import { boundsOf, rangeParams } from '../model/range'
import { useAsk } from '../parts/ask'
import { params } from '../router'
import { isMetrics } from '../traceql/tokens'
import { range } from '../view'

/** A step of whole, usual units that cuts a range into at most n parts. */
export function niceStep(ms: number, n: number): number {
  const steps = [50, 100, 250, 500, 1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000, 600_000, 900_000, 1_800_000, 3_600_000, 7_200_000, 14_400_000, 43_200_000, 86_400_000]
  return steps.find((s) => ms / s <= n) ?? Math.ceil(ms / n / 86_400_000) * 86_400_000
}

/** Bars of the spans that a query finds, by status. */
export function Histogram({ query, onRange }: { query: string; onRange: (from: number, to: number) => void }) {
  const r = range.value
  const [from, to] = boundsOf(r, now())
  const step = niceStep(to - from, 120)
  const counted = `${query} | count_over_time() by (status)`
  const hasStage = isMetrics(query)
  const answer = useAsk<SeriesAnswer>(hasStage ? undefined : (abort) =>
    getJSON('/api/metrics/query_range', { q: counted, step: `${step}ms`, exemplars: 0, ...rangeParams(r, now()) }, abort), [counted, r.from, r.to, params.value.tenant])
  const series = answer.answer?.series ?? []
  const all = new Set<number>()
  for (const s of series) for (const p of s.samples ?? []) all.add(Number(p.timestampMs))
  let times: number[] = []
  if (all.size > 0) {
    const last = Math.max(...all), first = Math.min(...all)
    for (let t = first; t <= last; t += step) times.push(t)
    while (times.length > 1 && times[times.length - 1] - step > now() + 60_000) times.pop()
  } else for (let t = Math.ceil(from / step) * step; t <= to + step; t += step) times.push(t)
  times = times.slice(-150)
  const at = new Map(times.map((t, i) => [t, i]))
  const layers: Layer[] = [{ name: 'spans', color: 'accent', values: times.map(() => 0) }, { name: 'errors', color: 'error', values: times.map(() => 0) }]
  for (const s of series) {
    const layer = layers[s.labels?.[0]?.value.stringValue === 'error' ? 1 : 0]
    for (const p of s.samples ?? []) { const i = at.get(Number(p.timestampMs)); if (i !== undefined) layer.values[i] += sampleValue(p.value) }
  }
  layers.reverse()
  if (answer.error) return <div class="chart muted" style={{ display: 'grid', placeItems: 'center' }}>{/limit|range|exceeds/.test(answer.error.message) ? `No bars: ${answer.error.message}` : 'No bars for this query'}</div>
  return (
    <div class={answer.busy && answer.answer ? 'dim' : ''}>
      <Bars times={times} step={step} layers={layers} onRange={onRange} />
      <div class="visually-hidden"><table><caption>Spans over time</caption><tbody>{times.map((t, i) => layers[0].values[i] + layers[1].values[i] > 0 && <tr key={t}><td>{new Date(t).toISOString()}</td><td>{layers[1].values[i]} spans</td><td>{layers[0].values[i]} errors</td></tr>)}</tbody></table></div>
    </div>
  )
}
