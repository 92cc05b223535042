import { useEffect, useState } from 'preact/hooks'
import { getJSON, now } from '../api/client'
import { sampleValue, type SeriesAnswer } from '../api/types'
import { HeatMap, type Box, type Heat } from '../draw/heatmap'
import { rankFields, type FieldRank, type ValueCount } from '../model/compare'
import { formatCount, formatPercent, showText } from '../model/format'
import { absoluteRange, boundsOf, rangeParams } from '../model/range'
import { useAsk } from '../parts/ask'
import { Editor, errorPlace } from '../parts/editor'
import { openMenu } from '../parts/menu'
import { Waiting } from '../parts/bar'
import { Empty, Failure, Incomplete, Progress } from '../parts/states'
import { go, params, setParams } from '../router'
import { addCondition, writeString } from '../traceql/tokens'
import { range, writeTime } from '../view'
import { niceStep } from './histogram'

const presets: [string, string][] = [['Errors', 'status = error'], ['Slower than 500 ms', 'duration > 500ms'], ['Slower than 100 ms', 'duration > 100ms']]

/** Whole microseconds, so that a bound is written as it was drawn. */
const literal = (ns: number) => `${Math.round(ns / 1000)}us`

export function CompareScreen() {
  const q = params.value.q || '{ kind = server }'
  const sel = params.value.sel ?? ''
  const w = params.value.w ? params.value.w.split(',').map(Number) as [number, number] : undefined
  const [text, setText] = useState(q)
  useEffect(() => setText(q), [q])
  const r = range.value
  const [from, to] = boundsOf(r, now())
  const step = niceStep(to - from, 100)
  const heat = useAsk<SeriesAnswer>((abort) => getJSON('/api/metrics/query_range', { q: `${q} | histogram_over_time(duration)`, step: `${step}ms`, exemplars: 0, ...rangeParams(r, now()) }, abort), [q, r.from, r.to, params.value.tenant])
  const compared = sel ? `${q} | compare({ ${sel} }, 100${w ? `, ${w[0] * 1e6}, ${w[1] * 1e6}` : ''})` : ''
  const ranked = useAsk<SeriesAnswer>(compared ? (abort) => getJSON('/api/metrics/query', { q: compared, ...rangeParams(r, now()) }, abort) : undefined, [compared, r.from, r.to, params.value.tenant])
  const map = heat.answer && layOutHeat(heat.answer, step)
  const box = readBox(sel, w)
  const choose = (b: Box | undefined) => setParams(b ? { sel: `duration > ${literal(b.above)} && duration <= ${literal(b.upTo)}`, w: `${Math.round(b.from)},${Math.round(b.to)}` } : { sel: undefined, w: undefined })
  const run = (x: string) => setParams({ q: x || undefined })
  return (
    <>
      <section class="panel pad" aria-label="Query" style={{ display: 'flex', flexDirection: 'column', gap: '10px' }}>
        <div class="query"><Editor value={q} label="Spans to compare, in TraceQL" onChange={setText} onRun={run} time={() => rangeParams(range.peek(), now())} error={heat.error && errorPlace(heat.error.message)} />
          <button class="primary" onClick={() => (text === q ? heat.again() : run(text))}>Run</button></div>
        <div class="row"><span class="faint">Selection</span>
          {presets.map(([name, s]) => <button key={s} aria-pressed={sel === s && !w} onClick={() => setParams({ sel: s, w: undefined })}>{name}</button>)}
          <form style={{ flex: '0 1 380px' }} onSubmit={(e) => { e.preventDefault(); const f = e.currentTarget.elements.namedItem('sel') as HTMLInputElement; setParams({ sel: f.value.trim() || undefined, w: undefined }) }}>
            <input type="text" name="sel" key={sel} defaultValue={sel} class="mono" style={{ width: '100%' }} aria-label="Condition of the selection" placeholder="a condition: span.version = &quot;2&quot;" />
          </form>
          {w && <span class="pill">{writeTime(w[0]).slice(11)} – {writeTime(w[1]).slice(11)}</span>}
          {sel && <button class="plain" onClick={() => choose(undefined)}>Clear</button>}
        </div>
      </section>
      {heat.error && <Failure error={heat.error} retry={heat.again} />}
      <section class="panel pad" aria-label="Durations over time" aria-busy={heat.busy}>
        <div class="spread" style={{ marginBottom: '8px' }}><h2>Durations</h2><span class="faint">Draw a box around what looks wrong</span></div>
        <Progress active={heat.busy} />
        {map && map.bounds.length > 0 ? <div class={heat.busy ? 'dim' : ''}><HeatMap heat={map} box={box} onBox={choose} /></div> : heat.busy ? <Waiting /> : !heat.error && <Empty title="No spans in this range" />}
      </section>
      {sel && (
        <>
          {ranked.error && <Failure error={ranked.error} retry={ranked.again} />}
          <Incomplete answer={ranked.answer} />
          <section class="panel" aria-label="What is different" aria-busy={ranked.busy}>
            <Progress active={ranked.busy} />
            {ranked.busy && !ranked.answer && <Waiting text="Comparing …" />}
            {ranked.answer && <div class={ranked.busy ? 'dim' : ''}><Ranked answer={ranked.answer} query={q} sel={sel} w={w} /></div>}
          </section>
        </>
      )}
    </>
  )
}

/** The box that a selection and its times are, if they were drawn. */
function readBox(sel: string, w?: [number, number]): Box | undefined {
  const m = /^duration > (\d+)us && duration <= (\d+)us$/.exec(sel)
  return m && w ? { from: w[0], to: w[1], above: Number(m[1]) * 1000, upTo: Number(m[2]) * 1000 + 999 } : undefined
}

function layOutHeat(a: SeriesAnswer, step: number): Heat {
  const rows = (a.series ?? []).map((s) => ({ bound: Number(s.labels?.find((l) => l.key === '__bucket')?.value.doubleValue ?? 0), samples: s.samples ?? [] })).filter((x) => x.bound > 0).sort((x, y) => x.bound - y.bound)
  const all = rows.flatMap((x) => x.samples.map((p) => Number(p.timestampMs)))
  if (all.length === 0) return { times: [], step, bounds: [], counts: [] }
  const first = Math.min(...all), last = Math.min(Math.max(...all), Math.ceil(now() / step) * step)
  const times: number[] = []
  for (let t = first; t <= last && times.length < 400; t += step) times.push(t)
  // Empty buckets between others are rows too, so that the scale is even.
  const bounds: number[] = []
  for (let b = rows[0].bound; b <= rows[rows.length - 1].bound * 1.01; b *= 2) bounds.push(b)
  const counts = bounds.map(() => times.map(() => 0))
  for (const x of rows) {
    const b = Math.round(Math.log2(x.bound / bounds[0]))
    for (const p of x.samples) { const t = Math.round((Number(p.timestampMs) - first) / step); if (counts[b] && t < times.length) counts[b][t] += sampleValue(p.value) }
  }
  return { times, step, bounds, counts }
}

function Ranked({ answer, query, sel, w }: { answer: SeriesAnswer; query: string; sel: string; w?: [number, number] }) {
  const r = rankFields(answer.series ?? [])
  const [all, setAll] = useState(false)
  if (r.selection === 0) return <Empty title="Nothing is selected"><p class="muted">No span of the query satisfies <code>{sel}</code>{w ? ' in that time' : ''}.</p></Empty>
  const used = new Set((sel.match(/[a-zA-Z:_.]+(?=\s*(=|!=|<|>))/g) ?? []))
  const fields = r.fields.filter((f) => !used.has(f.field) && f.score > 0.001)
  const shown = all ? fields : fields.slice(0, 12)
  return (
    <div class="pad" style={{ display: 'flex', flexDirection: 'column', gap: '14px' }}>
      <div class="spread">
        <h2>What is different</h2>
        <div class="row"><span class="row"><span class="swatch selection" />selection: {formatCount(r.selection)} spans</span><span class="row"><span class="swatch rest" />the rest: {formatCount(r.rest)}</span></div>
      </div>
      {r.selection < 30 && <div class="notice warn">Only {r.selection} spans are selected: differences may be chance.</div>}
      {fields.length === 0 && <p class="muted">Nothing that spans say of themselves tells the selection from the rest.</p>}
      <div class="ranked">{shown.map((f) => <Field key={f.field} f={f} r={{ selection: r.selection, rest: r.rest }} query={query} sel={sel} w={w} />)}</div>
      {fields.length > shown.length && <div><button onClick={() => setAll(true)}>Show {fields.length - shown.length} more fields</button></div>}
    </div>
  )
}

function Field({ f, r, query, sel, w }: { f: FieldRank; r: { selection: number; rest: number }; query: string; sel: string; w?: [number, number] }) {
  return (
    <section class="ranked-field" aria-label={f.field}>
      <h3 class="spread"><span class="mono" style={{ overflowWrap: 'anywhere' }}>{showText(f.field)}</span><span class="faint" title="Half the sum of the differences of all shares: 100 % if no value is common to both">{formatPercent(f.score)}</span></h3>
      {f.values.slice(0, 5).map((v) => <Value key={v.text} v={v} f={f} r={r} query={query} sel={sel} w={w} />)}
    </section>
  )
}

function Value({ v, f, r, query, sel, w }: { v: ValueCount; f: FieldRank; r: { selection: number; rest: number }; query: string; sel: string; w?: [number, number] }) {
  const a = r.selection > 0 ? v.selection / r.selection : 0, b = r.rest > 0 ? v.rest / r.rest : 0
  const missing = v.text === '' && v.value === undefined
  const plain = v.value?.stringValue === undefined || ['status', 'kind'].includes(f.field)
  const condition = missing ? `${f.field} = nil` : `${f.field} = ${plain ? v.text : writeString(v.text)}`
  const times = w ? absoluteRange(w[0], w[1]) : {}
  return (
    <button class="ranked-value" onClick={(e) => openMenu(e, {
      items: [
        { label: condition, heading: true },
        { label: 'Show traces of the selection with it', run: () => go('search', { q: addCondition(addCondition(query, sel), condition), ...times }) },
        { label: 'Compare only spans with it', run: () => setParams({ q: addCondition(query, condition) }) },
        { label: 'Compare spans without it', run: () => setParams({ q: addCondition(query, `!(${condition})`) }) },
        { label: 'Select by it instead', run: () => setParams({ sel: condition, w: undefined }) },
        { label: 'Rate by this field', run: () => go('search', { q: `${query} | rate() by (${f.field})` }) },
      ],
    })}>
      <span class="cut">{missing ? <i>not set</i> : showText(v.text) || '""'}</span>
      <span class="two-bars" aria-hidden="true"><span class="selection" style={{ width: `${100 * a}%` }} /><span class="rest" style={{ width: `${100 * b}%` }} /></span>
      <span class="number" title={`${formatCount(v.selection)} of the selection, ${v.restBound !== undefined ? `at most ${formatCount(v.restBound)}` : formatCount(v.rest)} of the rest`}>{v.selectionBound !== undefined ? '≤ ' : ''}{formatPercent(a)} <span class="faint">{v.restBound !== undefined ? '≤ ' : ''}{formatPercent(b)}</span></span>
    </button>
  )
}
