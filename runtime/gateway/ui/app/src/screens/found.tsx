import { useRef, useState } from 'preact/hooks'
import { valueText, type FoundTrace } from '../api/types'
import { serviceColor } from '../draw/colors'
import type { Point } from '../draw/scatter'
import { formatCount, formatDuration, showText } from '../model/format'
import { useKeys } from '../parts/keys'
import { Bar } from '../parts/bar'
import { addressOf, go, params, setParams } from '../router'
import { writeTime } from '../view'

export const startMs = (t: { startTimeUnixNano: string }) => Number(BigInt(t.startTimeUnixNano || '0') / 1000n) / 1000
export const padID = (id: string) => id.padStart(32, '0')
const stats = (t: FoundTrace) => Object.values(t.serviceStats ?? {})
export const spansOf = (t: FoundTrace) => stats(t).reduce((n, s) => n + (s.spanCount ?? 0), 0)
export const errorsOf = (t: FoundTrace) => stats(t).reduce((n, s) => n + (s.errorCount ?? 0), 0)
const matchedOf = (t: FoundTrace) => (t.spanSets ?? []).reduce((n, s) => n + (s.matched ?? s.spans?.length ?? 0), 0)

export function foundPoints(traces: FoundTrace[]): Point[] {
  return traces.map((t) => ({ id: padID(t.traceID), time: startMs(t), duration: (t.durationMs ?? 0) * 1e6, error: errorsOf(t) > 0, name: t.rootTraceName ?? '', service: t.rootServiceName ?? '' }))
}

type Column = { id: string; name: string; number?: boolean; of: (t: FoundTrace) => number | string }
const columns: Column[] = [
  { id: 'start', name: 'Start', of: startMs },
  { id: 'name', name: 'Trace', of: (t) => `${t.rootServiceName ?? ''} ${t.rootTraceName ?? ''}` },
  { id: 'duration', name: 'Duration', number: true, of: (t) => t.durationMs ?? 0 },
  { id: 'spans', name: 'Spans', number: true, of: spansOf },
  { id: 'errors', name: 'Errors', number: true, of: errorsOf },
  { id: 'matched', name: 'Matched', number: true, of: matchedOf },
]

/** The traces of a search, a row each. */
export function FoundTraces({ traces, query }: { traces: FoundTrace[]; query: string }) {
  const [by, down] = (params.value.sort ?? 'start-').split(/(?=-$)/)
  const column = columns.find((c) => c.id === by) ?? columns[0]
  const sorted = by === 'start' && down ? traces : [...traces].sort((a, b) => {
    const x = column.of(a), y = column.of(b)
    return (x < y ? -1 : x > y ? 1 : 0) * (down ? -1 : 1)
  })
  const [at, setAt] = useState(-1)
  const current = useRef(-1) // the same, for keys that come faster than the page is drawn
  const longest = Math.max(1, ...traces.map((t) => t.durationMs ?? 0))
  const [marked, setMarked] = useState<string[]>([])
  const mark = (id: string) => setMarked((m) => (m.includes(id) ? m.filter((x) => x !== id) : [...m, id].slice(-2)))
  const open = (t: FoundTrace) => go(`trace/${padID(t.traceID)}`, { f: plainFilter(query) })
  const move = (d: number) => { const n = Math.max(0, Math.min(sorted.length - 1, current.current + d)); current.current = n; setAt(n); document.getElementById(`found-${n}`)?.scrollIntoView({ block: 'nearest' }) }
  useKeys([
    { key: 'j', name: 'next trace', run: () => move(1) }, { key: 'k', name: 'trace before', run: () => move(-1) },
    { key: 'ArrowDown', name: 'next trace', run: (e) => { e.preventDefault(); move(1) } }, { key: 'ArrowUp', name: 'trace before', run: (e) => { e.preventDefault(); move(-1) } },
    { key: 'x', name: 'mark for a diff', run: () => { const t = sorted[current.current]; if (t) mark(t.traceID) } },
    { key: 'd', name: 'diff the marked two', run: () => { if (marked.length === 2) go(`diff/${padID(marked[0])}/${padID(marked[1])}`) } },
    { key: 'Enter', name: 'open the trace', run: () => { const t = sorted[current.current]; if (t) open(t) } },
  ])
  const fields = attributeNames(traces)
  return (
    <div class="table-wrap">
      {marked.length > 0 && <div class="row pad" style={{ paddingTop: '0' }}>{marked.length === 1 ? <span class="muted">One trace is marked; mark another to compare both.</span> : <a class="button" href={addressOf(`diff/${padID(marked[0])}/${padID(marked[1])}`)}>Diff the two marked traces</a>}<button class="plain" onClick={() => setMarked([])}>Clear</button></div>}
      <table>
        <thead><tr><th><span class="visually-hidden">Mark</span></th>
          {columns.map((c) => (
            <th key={c.id} class={c.number ? 'number' : ''} aria-sort={c.id === by ? (down ? 'descending' : 'ascending') : undefined}>
              <button onClick={() => setParams({ sort: c.id === by && down ? c.id : c.id === 'start' ? undefined : c.id + '-' }, true)} title="Sorts the traces that are loaded">{c.name}{c.id === by && (down ? ' ↓' : ' ↑')}</button>
            </th>
          ))}
          {fields.map((f) => <th key={f}>{showText(f)}</th>)}
        </tr></thead>
        <tbody>
          {sorted.map((t, i) => {
            const errors = errorsOf(t)
            return (
              <tr key={t.traceID} id={`found-${i}`} class="link" aria-selected={i === at} onClick={(e) => { if (!(e.target as Element).closest('a')) open(t) }}>
                <td style={{ width: '34px' }} onClick={(e) => e.stopPropagation()}><input type="checkbox" aria-label={`Mark ${t.traceID} for a diff`} checked={marked.includes(t.traceID)} onChange={() => mark(t.traceID)} /></td>
                <td class="nowrap mono">{writeTime(startMs(t))}</td>
                <td style={{ minWidth: '220px', width: '70%' }}>
                  <a href={addressOf(`trace/${padID(t.traceID)}`, { f: plainFilter(query) })} class="row" style={{ flexWrap: 'nowrap', color: 'inherit' }}>
                    <span class="dot" style={{ background: serviceColor(t.rootServiceName ?? '') }} />
                    <span><strong>{showText(t.rootServiceName ?? '')}</strong> {showText(t.rootTraceName ?? '')}</span>
                    {t.partial && <span class="pill" title="A part of this trace could not be read">partial</span>}
                  </a>
                </td>
                <td class="number" style={{ minWidth: '130px' }}>
                  <Bar share={(t.durationMs ?? 0) / longest} text={formatDuration((t.durationMs ?? 0) * 1e6)} />
                </td>
                <td class="number">{formatCount(spansOf(t))}</td>
                <td class="number">{errors > 0 ? <span class="pill error">{formatCount(errors)}</span> : <span class="faint">0</span>}</td>
                <td class="number">{formatCount(matchedOf(t))}</td>
                {fields.map((f) => <td key={f} class="cut" style={{ maxWidth: '260px' }}>{showText(firstValue(t, f))}</td>)}
              </tr>
            )
          })}
        </tbody>
      </table>
    </div>
  )
}

/** A query of one filter goes along into the trace, to mark what it matches there. */
export function plainFilter(query: string): string | undefined {
  const q = query.trim()
  return /^\{[^{}]+\}$/.test(q) && q.slice(1, -1).trim() !== '' && !/trace:|root|nestedSet|traceDuration/.test(q) ? q : undefined
}

function attributeNames(traces: FoundTrace[]): string[] {
  const names = new Set<string>()
  for (const t of traces) for (const s of t.spanSets ?? []) {
    for (const a of s.attributes ?? []) names.add(a.key)
    for (const p of s.spans ?? []) for (const a of p.attributes ?? []) if (!['service.name', 'status', 'kind', 'nestedSetParent'].includes(a.key)) names.add(a.key)
  }
  return [...names].slice(0, 12)
}

function firstValue(t: FoundTrace, key: string): string {
  for (const s of t.spanSets ?? []) {
    const own = s.attributes?.find((a) => a.key === key)
    if (own) return valueText(own.value)
    for (const p of s.spans ?? []) { const a = p.attributes?.find((x) => x.key === key); if (a) return valueText(a.value) }
  }
  return ''
}

/** The spans that matched, a row each. */
export function FoundSpans({ traces, query }: { traces: FoundTrace[]; query: string }) {
  const rows = traces.flatMap((t) => (t.spanSets ?? []).flatMap((s) => s.spans.map((span) => ({ t, span, set: s }))))
  const fields = attributeNames(traces)
  const cut = traces.some((t) => (t.spanSets ?? []).some((s) => (s.matched ?? 0) > s.spans.length))
  return (
    <div class="table-wrap">
      {cut && <p class="faint pad" style={{ margin: 0, paddingTop: 0 }}>Of each set of spans the first three are shown.</p>}
      <table>
        <thead><tr><th>Start</th><th>Trace</th><th>Span</th><th class="number">Duration</th>{fields.map((f) => <th key={f}>{showText(f)}</th>)}</tr></thead>
        <tbody>{rows.map(({ t, span }) => (
          <tr key={t.traceID + span.spanID} class="link" onClick={() => go(`trace/${padID(t.traceID)}`, { span: span.spanID, f: plainFilter(query) })}>
            <td class="nowrap mono">{writeTime(startMs(span))}</td>
            <td class="cut" style={{ maxWidth: '320px' }}>{showText(t.rootServiceName ?? '')} {showText(t.rootTraceName ?? '')}</td>
            <td><a class="mono" href={addressOf(`trace/${padID(t.traceID)}`, { span: span.spanID })}>{span.name ? showText(span.name) : span.spanID}</a></td>
            <td class="number">{formatDuration(Number(span.durationNanos ?? 0))}</td>
            {fields.map((f) => <td key={f} class="cut" style={{ maxWidth: '260px' }}>{showText(valueText(span.attributes?.find((a) => a.key === f)?.value))}</td>)}
          </tr>
        ))}</tbody>
      </table>
    </div>
  )
}
