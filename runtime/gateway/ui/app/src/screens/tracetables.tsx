import { useEffect, useMemo, useState } from 'preact/hooks'
import { serviceColor } from '../draw/colors'
import { formatCount, formatDuration, formatPercent, showText } from '../model/format'
import { writeValue, type SpanDetail } from '../model/otlp'
import { hasEvents, type Line } from '../model/trace'
import { params, setParams } from '../router'
import type { Lines } from '../model/opentrace'
import type { Opened, TraceHandle } from '../model/tracehandle'
import { Bar } from '../parts/bar'

function Name({ opened, line }: { opened: Opened; line: { service: number; name: number } }) {
  const service = opened.columns.services.at(line.service) ?? ''
  return <span class="row" style={{ flexWrap: 'nowrap' }}><span class="dot" style={{ background: serviceColor(service) }} /><span><strong>{showText(service)}</strong> {showText(opened.columns.names.at(line.name) ?? '')}</span></span>
}

function useLines(handle: TraceHandle): Lines | undefined {
  const [lines, setLines] = useState<Lines | undefined>()
  useEffect(() => { let gone = false; void handle.lines().then((l) => { if (!gone) setLines(l) }); return () => { gone = true } }, [handle])
  return lines
}

/** What to make faster: time on the critical path by operation, and the path itself. */
export function PathTable({ opened, handle, onSelect }: { opened: Opened; handle: TraceHandle; onSelect: (row: number) => void }) {
  const t = opened.columns, path = opened.path
  const summed = useLines(handle)
  if (!summed) return <p class="pad faint">Summing up …</p>
  let total = 0
  for (let i = 0; i < path.row.length; i++) total += path.to[i] - path.from[i]
  const lines = summed.lines.filter((l) => l.path > 0).sort((a, b) => b.path - a.path)
  const longest = (l: Line): number => {
    let best = -1
    for (let i = 0; i < path.row.length; i++) if (t.name[path.row[i]] === l.name && t.service[path.row[i]] === l.service && (best < 0 || path.to[i] - path.from[i] > path.to[best] - path.from[best])) best = i
    return best < 0 ? -1 : path.row[best]
  }
  return (
    <div class="pad" style={{ display: 'flex', flexDirection: 'column', gap: '16px' }}>
      <div><h2>What to make faster</h2><p class="muted" style={{ margin: 0 }}>The critical path is the chain of spans that decides when the trace ends. Only time on it makes the trace shorter.</p></div>
      <div class="table-wrap panel"><table>
        <thead><tr><th>Operation</th><th class="number">On the path</th><th class="number">Share</th><th class="number">Spans</th></tr></thead>
        <tbody>{lines.map((l) => (
          <tr key={`${l.service}/${l.name}`} class="link" onClick={() => onSelect(longest(l))}>
            <td><Name opened={opened} line={l} /></td><td class="number">{formatDuration(l.path)}</td>
            <td class="number" style={{ minWidth: '150px' }}><Bar share={l.path / Math.max(1, total)} text={formatPercent(l.path / Math.max(1, total))} /></td>
            <td class="number">{formatCount(l.count)}</td>
          </tr>
        ))}</tbody>
      </table></div>
      <h2>The path in order</h2>
      <div class="table-wrap panel"><table>
        <thead><tr><th class="number">From</th><th>Span</th><th class="number">Time</th></tr></thead>
        <tbody>{Array.from(path.row.subarray(0, 500), (row, i) => (
          <tr key={i} class="link" onClick={() => onSelect(row)}><td class="number mono">+{formatDuration(path.from[i])}</td><td><Name opened={opened} line={{ service: t.service[row], name: t.name[row] }} /></td><td class="number">{formatDuration(path.to[i] - path.from[i])}</td></tr>
        ))}</tbody>
      </table></div>
      {path.row.length > 500 && <p class="faint">The first 500 of {formatCount(path.row.length)} stretches.</p>}
    </div>
  )
}

const sorts = ['total', 'self', 'count', 'errors', 'longest', 'path'] as const
type Sort = typeof sorts[number]

/** The operations of a trace with how often they ran and how long they took. */
export function NamesTable({ opened, handle, onFilter }: { opened: Opened; handle: TraceHandle; onFilter: (text: string) => void }) {
  const by = sorts.find((s) => s === params.value.sort) ?? 'self'
  const summed = useLines(handle)
  const lines = useMemo(() => [...summed?.lines ?? []].sort((a, b) => b[by] - a[by]), [summed, by])
  const head = (id: Sort, name: string) => <th class="number" aria-sort={by === id ? 'descending' : undefined}><button onClick={() => setParams({ sort: id === 'self' ? undefined : id }, true)}>{name}{by === id && ' ↓'}</button></th>
  const t = opened.columns
  if (!summed) return <p class="pad faint">Summing up …</p>
  const most = lines.reduce((m, l) => Math.max(m, l.self), 1)
  return (
    <div class="pad">{summed.all > Math.min(500, lines.length) && <p class="faint">The first {formatCount(Math.min(500, lines.length))} of {formatCount(summed.all)} operations.</p>}<div class="table-wrap panel"><table>
      <thead><tr><th>Operation</th>{head('count', 'Spans')}{head('errors', 'Errors')}{head('total', 'Total')}{head('self', 'Self')}{head('longest', 'Longest')}{head('path', 'On the path')}</tr></thead>
      <tbody>{lines.slice(0, 500).map((l) => (
        <tr key={`${l.service}/${l.name}`} class="link" title="Show only these spans" onClick={() => onFilter(`{ resource.service.name = ${JSON.stringify(t.services.at(l.service))} && name = ${JSON.stringify(t.names.at(l.name))} }`)}>
          <td><Name opened={opened} line={l} /></td><td class="number">{formatCount(l.count)}</td>
          <td class="number">{l.errors > 0 ? <span class="pill error">{formatCount(l.errors)}</span> : <span class="faint">0</span>}</td>
          <td class="number">{formatDuration(l.total)}</td>
          <td class="number"><Bar share={l.self / most} text={formatDuration(l.self)} /></td>
          <td class="number">{formatDuration(l.longest)}</td><td class="number">{l.path > 0 ? formatDuration(l.path) : <span class="faint">–</span>}</td>
        </tr>
      ))}</tbody>
    </table></div></div>
  )
}

/** The events of all spans by time, like a log. */
export function EventsTable({ opened, handle, onSelect }: { opened: Opened; handle: TraceHandle; onSelect: (row: number) => void }) {
  const t = opened.columns
  const [list, setList] = useState<{ row: number; d: SpanDetail; i: number }[] | undefined>()
  const [cut, setCut] = useState(false)
  useEffect(() => {
    let gone = false
    const rows: number[] = []
    for (let r = 0; r < t.count && rows.length < 2000; r++) if (t.flags[r] & hasEvents) rows.push(r)
    setCut(rows.length === 2000)
    void handle.details(rows).then((all) => {
      if (!gone) setList(all.flatMap((d, k) => d.events.map((_, i) => ({ row: rows[k], d, i }))).sort((a, b) => Number(a.d.events[a.i].time - b.d.events[b.i].time)))
    })
    return () => { gone = true }
  }, [opened])
  if (!list) return <p class="pad faint">Reading events …</p>
  if (list.length === 0) return <p class="pad muted">No span of this trace has events.</p>
  return (
    <div class="pad">{cut && <p class="faint">Events of the first 2,000 spans that have any.</p>}<div class="table-wrap panel"><table>
      <thead><tr><th class="number">Time</th><th>Event</th><th>Span</th><th>Attributes</th></tr></thead>
      <tbody>{list.slice(0, 5000).map(({ row, d, i }) => {
        const e = d.events[i]
        return (
          <tr key={`${row}/${i}`} class="link" onClick={() => onSelect(row)}>
            <td class="number mono">+{formatDuration(Number(e.time - t.origin))}</td><td><strong>{showText(e.name)}</strong></td>
            <td><Name opened={opened} line={{ service: t.service[row], name: t.name[row] }} /></td>
            <td class="mono" style={{ maxWidth: '560px' }}><div class="cut">{e.attributes.filter((a) => a.key !== 'exception.stacktrace').map((a) => `${a.key}=${showText(writeValue(a.value).slice(0, 200))}`).join(' ')}</div></td>
          </tr>
        )
      })}</tbody>
    </table></div></div>
  )
}
