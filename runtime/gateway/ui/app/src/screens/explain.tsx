import { useEffect, useState } from 'preact/hooks'
import { getJSON, now } from '../api/client'
import type { ExplainAnswer, ExplainStep } from '../api/types'
import { formatBytes, formatCount, formatDuration } from '../model/format'
import { rangeParams } from '../model/range'
import { useAsk } from '../parts/ask'
import { Editor, errorPlace } from '../parts/editor'
import { Empty, Failure, Incomplete, Progress } from '../parts/states'
import { Bar } from '../parts/bar'
import { addressOf, params, setParams } from '../router'
import { tokenize } from '../traceql/tokens'
import { range, writeTime } from '../view'

export function ExplainScreen() {
  const q = params.value.q ?? ''
  const [text, setText] = useState(q)
  useEffect(() => setText(q), [q])
  const r = range.value
  const given = { q: q || '{ }', ...rangeParams(r, now()) }
  const asked = useAsk<ExplainAnswer>((abort) => getJSON('/api/explain', given, abort), [q, r.from, r.to, params.value.tenant])
  const a = asked.answer
  return (
    <>
      <section class="panel pad" aria-label="Query">
        <div class="query"><Editor value={q} onChange={setText} onRun={(x) => (x === q ? asked.again() : setParams({ q: x }))} time={() => rangeParams(range.peek(), now())} error={asked.error && errorPlace(asked.error.message)} />
          <button class="primary" onClick={() => (text === q ? asked.again() : setParams({ q: text }))}>Explain</button><a class="button" style={{ minHeight: '38px' }} href={addressOf('search', { q })}>Search</a></div>
        <p class="faint" style={{ margin: '8px 0 0' }}>The query is run without anything that is known from before, and every block and live-store says what it did.</p>
      </section>
      {asked.error && <Failure error={asked.error} retry={asked.again} path="/api/explain" given={given} />}
      <Incomplete answer={a} />
      <Progress active={asked.busy} />
      {a && <div class={asked.busy ? 'dim' : ''} style={{ display: 'flex', flexDirection: 'column', gap: '12px' }}><Summary a={a} query={q} /><Steps steps={a.steps ?? []} /></div>}
    </>
  )
}

function Summary({ a, query }: { a: ExplainAnswer; query: string }) {
  const advice = adviseOn(a, query)
  return (
    <section class="panel pad" aria-label="Summary">
      <div class="figures">
        <Figure value={formatCount(a.traces)} name="traces found" />
        <Figure value={`${formatCount(a.blocks)} of ${formatCount(a.blocks + a.outOfRange)}`} name="blocks in the range" />
        <Figure value={formatCount(a.assembled)} name="traces put together from several homes" />
        <Figure value={formatBytes(Number(a.inspectedBytes))} name="read" />
        <Figure value={formatCount(Number(a.inspectedSpans))} name="spans looked at" />
        <Figure value={formatDuration(Math.max(0, ...(a.steps ?? []).map((s) => s.tookMs)) * 1e6)} name="longest step" />
      </div>
      {advice && <p class="muted" style={{ margin: '10px 0 0' }}>{advice}</p>}
    </section>
  )
}

function Figure({ value, name }: { value: string; name: string }) { return <div><div class="figure">{value}</div><div class="faint">{name}</div></div> }

/** One sentence about what would make the query cheaper. */
function adviseOn(a: ExplainAnswer, query: string): string | undefined {
  const unscoped = tokenize(query).find((t) => t.kind === 'field' && t.text.startsWith('.'))
  if (unscoped) return `${unscoped.text} is looked for in spans and in resources. With its scope, span${unscoped.text} or resource${unscoped.text}, half of that is left out.`
  const read = (a.steps ?? []).filter((s) => s.columns?.length)
  if (a.assembled > 1000) return `${formatCount(a.assembled)} traces had spans in several places and were put together before they were judged. That becomes less as blocks grow old.`
  if (read.length > 0 && read.every((s) => s.columns!.every((c) => c.pages === c.of))) return 'Every page of the columns was read: no condition of the query could be decided by the index. A condition on a rare value helps most.'
  return undefined
}

function Steps({ steps }: { steps: ExplainStep[] }) {
  const [open, setOpen] = useState<number>(-1)
  if (steps.length === 0) return <Empty title="Nothing had to be read" />
  const most = Math.max(.001, ...steps.map((s) => s.tookMs))
  return (
    <section class="panel table-wrap" aria-label="Steps"><table>
      <thead><tr><th>Home</th><th>Outcome</th><th>Spans from</th><th class="number">Spans</th><th class="number">Looked at</th><th class="number">Read</th><th class="number">Reads</th><th class="number">Time</th></tr></thead>
      <tbody>{steps.map((s, i) => (
        <>
          <tr key={i}>
            <td class="mono nowrap">{s.columns && <button class="fold" aria-expanded={open === i} aria-label="Columns" onClick={() => setOpen(open === i ? -1 : i)}>{open === i ? '▾' : '▸'}</button>}{s.home}{s.parts ? ` ${(s.part ?? 0) + 1}/${s.parts}` : ''}</td>
            <td>{s.outcome}{s.reason && <span class="muted">: {s.reason}</span>}</td>
            <td class="nowrap muted">{s.startTimeUnixNano ? writeTime(Number(BigInt(s.startTimeUnixNano) / 1_000_000n)).slice(0, 19) : ''}</td>
            <td class="number">{formatCount(Number(s.spans))}</td><td class="number">{formatCount(Number(s.inspectedSpans))}</td><td class="number">{formatBytes(Number(s.inspectedBytes))}</td><td class="number">{s.reads}</td>
            <td class="number" style={{ minWidth: '140px' }}><Bar share={s.tookMs / most} text={formatDuration(s.tookMs * 1e6)} /></td>
          </tr>
          {open === i && s.columns && <tr key={`${i}c`}><td colSpan={8}><table><thead><tr><th>Column</th><th class="number">Pages read</th></tr></thead><tbody>{s.columns.map((c) => <tr key={c.object + c.column}><td class="mono">{c.object} {c.column}</td><td class="number">{c.pages} of {c.of}</td></tr>)}</tbody></table></td></tr>}
        </>
      ))}</tbody>
    </table></section>
  )
}
