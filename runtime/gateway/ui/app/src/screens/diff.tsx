import { APIError, endpoint, headers } from '../api/client'
import { formatCount, formatDuration, formatPercent, showText } from '../model/format'
import { useAsk } from '../parts/ask'
import { Failure, Progress } from '../parts/states'
import { addressOf, params, place } from '../router'
import { serviceColor } from '../draw/colors'

interface SpanRef { path: number[]; service: string; name: string; kind: string; durationNanos?: number }
interface Change { op: string; target: { type: string; name?: string; scope?: string; key?: string }; before?: unknown; after?: unknown }
interface Patch { stats: Record<string, number> & { truncated?: boolean }; modified?: { span: SpanRef; changes: Change[] }[]; added?: { span: SpanRef }[]; removed?: { span: SpanRef }[]; warnings?: string[] }
interface Side { traceId: string; rootService: string; rootName: string; spanCount: number; errorSpanCount: number; durationMs: number }
interface Summary { base: Side; compare: Side; signals: Record<string, string>; trust: { matchedSpanRatio: number; structureOverlap: number }; services?: { name: string; sumSpanDurationDeltaMs: number; modified: number; added: number; removed: number; newErrors: number; resolvedErrors: number }[]; warnings?: string[] }
interface Composed { summary: Summary; patch?: Patch; patchOmitted?: { bytes: number; reason: string } }

async function askDiff<T>(a: string, b: string, format: string, abort: AbortSignal): Promise<T> {
  const r = await fetch(endpoint('/api/v2/traces/diff'), { method: 'POST', signal: abort, headers: { ...headers('application/json'), 'Content-Type': 'application/json' }, body: JSON.stringify({ base: { traceId: a }, compare: { traceId: b }, format }) })
  if (!r.ok) throw new APIError(r.status, (await r.text()).trim(), Number(r.headers.get('Retry-After') ?? 0), '/api/v2/traces/diff')
  return await r.json() as T
}

export function DiffScreen() {
  const [a, b] = [place.value.path[1] ?? '', place.value.path[2] ?? '']
  const asked = useAsk<Composed>(async (abort) => {
    const d = await askDiff<Composed>(a, b, 'trace-summary-v0-composed', abort)
    if (!d.patch) d.patch = await askDiff<Patch>(a, b, 'trace-patch-v0', abort)
    return d
  }, [a, b, params.value.tenant])
  const d = asked.answer
  return (
    <>
      <Progress active={asked.busy} />
      {asked.error && <Failure error={asked.error} retry={asked.again} />}
      {d && <Result d={d} a={a} b={b} />}
    </>
  )
}

function Result({ d, a, b }: { d: Composed; a: string; b: string }) {
  const s = d.summary, p = d.patch!
  const rows = [
    ...(p.modified ?? []).map((m) => ({ kind: 'changed' as const, span: m.span, changes: m.changes })),
    ...(p.added ?? []).map((x) => ({ kind: 'added' as const, span: x.span, changes: [] as Change[] })),
    ...(p.removed ?? []).map((x) => ({ kind: 'removed' as const, span: x.span, changes: [] as Change[] })),
  ].sort((x, y) => comparePaths(x.span.path ?? [], y.span.path ?? []))
  const longest = Math.max(1, ...rows.flatMap((r) => { const c = durations(r.changes); return [c.before, c.after] }))
  const low = s.trust.matchedSpanRatio < 0.5
  return (
    <>
      <section class="panel pad" aria-label="Both traces">
        <div class="grid-2">
          {[['Base', s.base, a], ['Compared', s.compare, b]].map(([title, side, id]) => {
            const x = side as Side
            return <div key={title as string}><div class="faint">{title as string}</div><h2><a href={addressOf(`trace/${id as string}`)}>{showText(x.rootService)}: {showText(x.rootName)}</a></h2><div class="muted">{formatDuration(x.durationMs * 1e6)} · {formatCount(x.spanCount)} spans · {x.errorSpanCount > 0 ? <span class="error-text">{formatCount(x.errorSpanCount)} errors</span> : 'no errors'}</div></div>
          })}
        </div>
        <div class="row" style={{ marginTop: '10px' }}>
          <span class="pill">{formatPercent(s.trust.matchedSpanRatio)} of the spans matched</span>
          {Object.entries(s.signals).map(([k, v]) => <span key={k} class={'pill' + (v === 'increased' && k !== 'spanCount' ? ' error' : '')}>{{ traceLatency: 'latency', sumSpanDuration: 'time of all spans', errors: 'errors', spanCount: 'spans', structure: 'structure' }[k] ?? k} {v}</span>)}
          <a class="button" href={addressOf(`diff/${b}/${a}`)}>Swap</a>
        </div>
        {low && <div class="notice warn" style={{ marginTop: '10px' }}>Less than half of the spans have a counterpart: these traces may be of different requests.</div>}
        {[...(s.warnings ?? []), ...(p.warnings ?? [])].map((w) => <div key={w} class="notice warn" style={{ marginTop: '8px' }}>{w}</div>)}
        {p.stats.truncated && <div class="notice warn" style={{ marginTop: '8px' }}>The list was cut to a limit.</div>}
      </section>
      <section class="panel" aria-label="Spans">
        <div class="pad" style={{ paddingBottom: '4px' }}><h2>{rows.length === 0 ? 'Both traces are the same' : 'Spans that differ'}</h2></div>
        <div class="table-wrap"><table>
          <thead><tr><th>Span</th><th class="number">Base</th><th class="number">Compared</th><th>Durations</th><th>What changed</th></tr></thead>
          <tbody>{rows.slice(0, 2000).map((r, i) => {
            const t = durations(r.changes)
            return (
              <tr key={i}>
                <td style={{ paddingLeft: `${12 + 14 * Math.min(20, (r.span.path ?? []).length - 1)}px`, minWidth: '240px' }}>
                  <span class="row"><span class="dot" style={{ background: serviceColor(r.span.service) }} /><span>{r.kind !== 'changed' && <span class={'pill ' + (r.kind === 'added' ? 'added' : 'error')}>{r.kind}</span>} <strong>{showText(r.span.name)}</strong> <span class="faint">{showText(r.span.service)}</span></span></span>
                </td>
                <td class="number">{t.before ? formatDuration(t.before) : ''}</td><td class="number">{t.after ? formatDuration(t.after) : ''} {t.before > 0 && t.after > 1.25 * t.before ? <span class="error-text">▲</span> : t.after > 0 && t.after < 0.8 * t.before ? <span class="ok-text">▼</span> : ''}</td>
                <td style={{ minWidth: '130px' }}>{t.before + t.after > 0 && <span class="two-bars" aria-hidden="true" style={{ height: '20px' }}><span class="rest" style={{ width: `${100 * t.before / longest}%` }} /><span class="selection" style={{ width: `${100 * t.after / longest}%` }} /></span>}</td>
                <td class="mono" style={{ minWidth: '260px' }}>{r.changes.filter((c) => c.target.name !== 'duration_nanos').slice(0, 12).map((c, k) => <div key={k} style={{ overflowWrap: 'anywhere' }}><span class="faint">{[c.target.scope, c.target.key ?? c.target.name].filter(Boolean).join('.')}</span> {c.op === 'add' ? '' : <del>{short(c.before)}</del>} {c.op === 'remove' ? '' : <ins>{short(c.after)}</ins>}</div>)}{r.changes.length > 13 && <span class="faint">{r.changes.length - 13} more</span>}</td>
              </tr>
            )
          })}</tbody>
        </table></div>
      </section>
    </>
  )
}

const short = (v: unknown): string => { const t = typeof v === 'string' ? v : JSON.stringify(v); return showText(t.length > 120 ? t.slice(0, 120) + ' …' : t) || '""' }
const durations = (changes: Change[]) => { const c = changes.find((x) => x.target.name === 'duration_nanos'); return { before: Number(c?.before ?? 0), after: Number(c?.after ?? 0) } }
function comparePaths(a: number[], b: number[]): number {
  for (let i = 0; i < Math.min(a.length, b.length); i++) if (a[i] !== b[i]) return a[i] - b[i]
  return a.length - b.length
}
