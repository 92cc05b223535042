import { useEffect, useMemo, useState } from 'preact/hooks'
import { serviceColor } from '../draw/colors'
import { formatCount, formatDuration, formatPercent, showText } from '../model/format'
import { writeValue, type SpanDetail } from '../model/otlp'
import { hasEvents, type Line } from '../model/trace'
import type { TraceHandle } from '../model/tracehandle'
import type { Opened } from '../model/traceworker'

function Name({ opened, line }: { opened: Opened; line: { service: number; name: number } }) {
  const service = opened.columns.services[line.service]
  return <span class="row" style={{ flexWrap: 'nowrap' }}><span class="dot" style={{ background: serviceColor(service) }} /><span><strong>{showText(service)}</strong> {showText(opened.columns.names[line.name])}</span></span>
}

/** What to make faster: time on the critical path by operation, and the path itself. */
export function PathTable({ opened, onSelect }: { opened: Opened; onSelect: (row: number) => void }) {
  const t = opened.columns
  const total = opened.path.reduce((n, s) => n + s.to - s.from, 0)
  const lines = opened.lines.filter((l) => l.path > 0).sort((a, b) => b.path - a.path)
  return (
    <div class="pad" style={{ display: 'flex', flexDirection: 'column', gap: '16px' }}>
      <div><h2>What to make faster</h2><p class="muted" style={{ margin: 0 }}>The critical path is the chain of spans that decides when the trace ends. Only time on it makes the trace shorter.</p></div>
      <div class="table-wrap panel"><table>
        <thead><tr><th>Operation</th><th class="number">On the path</th><th class="number">Share</th><th class="number">Spans</th></tr></thead>
        <tbody>{lines.map((l) => (
          <tr key={`${l.service}/${l.name}`} class="link" onClick={() => { const s = opened.path.filter((x) => t.name[x.row] === l.name && t.service[x.row] === l.service).sort((a, b) => b.to - b.from - a.to + a.from)[0]; if (s) onSelect(s.row) }}>
            <td><Name opened={opened} line={l} /></td><td class="number">{formatDuration(l.path)}</td>
            <td class="number" style={{ minWidth: '150px' }}><span class="bar-cell"><span style={{ width: `${100 * l.path / Math.max(1, total)}%` }} /></span>{formatPercent(l.path / Math.max(1, total))}</td>
            <td class="number">{formatCount(l.count)}</td>
          </tr>
        ))}</tbody>
      </table></div>
      <h2>The path in order</h2>
      <div class="table-wrap panel"><table>
        <thead><tr><th class="number">From</th><th>Span</th><th class="number">Time</th></tr></thead>
        <tbody>{opened.path.slice(0, 500).map((s, i) => (
          <tr key={i} class="link" onClick={() => onSelect(s.row)}><td class="number mono">+{formatDuration(s.from)}</td><td><Name opened={opened} line={{ service: t.service[s.row], name: t.name[s.row] }} /></td><td class="number">{formatDuration(s.to - s.from)}</td></tr>
        ))}</tbody>
      </table></div>
      {opened.path.length > 500 && <p class="faint">The first 500 of {formatCount(opened.path.length)} stretches.</p>}
    </div>
  )
}

type Sort = 'total' | 'self' | 'count' | 'errors' | 'longest' | 'path'

/** The operations of a trace with how often they ran and how long they took. */
export function NamesTable({ opened, onFilter }: { opened: Opened; onFilter: (text: string) => void }) {
  const [by, setBy] = useState<Sort>('self')
  const lines = useMemo(() => [...opened.lines].sort((a, b) => b[by] - a[by]), [opened, by])
  const head = (id: Sort, name: string) => <th class="number" aria-sort={by === id ? 'descending' : undefined}><button onClick={() => setBy(id)}>{name}{by === id && ' ↓'}</button></th>
  const t = opened.columns
  const most = Math.max(1, ...opened.lines.map((l: Line) => l.self))
  return (
    <div class="pad"><div class="table-wrap panel"><table>
      <thead><tr><th>Operation</th>{head('count', 'Spans')}{head('errors', 'Errors')}{head('total', 'Total')}{head('self', 'Self')}{head('longest', 'Longest')}{head('path', 'On the path')}</tr></thead>
      <tbody>{lines.slice(0, 1000).map((l) => (
        <tr key={`${l.service}/${l.name}`} class="link" title="Show only these spans" onClick={() => onFilter(`{ resource.service.name = ${JSON.stringify(t.services[l.service])} && name = ${JSON.stringify(t.names[l.name])} }`)}>
          <td><Name opened={opened} line={l} /></td><td class="number">{formatCount(l.count)}</td>
          <td class="number">{l.errors > 0 ? <span class="pill error">{formatCount(l.errors)}</span> : <span class="faint">0</span>}</td>
          <td class="number">{formatDuration(l.total)}</td>
          <td class="number"><span class="bar-cell"><span style={{ width: `${100 * l.self / most}%` }} /></span>{formatDuration(l.self)}</td>
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
    void Promise.all(rows.map((row) => handle.detail(row).then((d) => d.events.map((_, i) => ({ row, d, i }))))).then((all) => {
      if (!gone) setList(all.flat().sort((a, b) => Number(a.d.events[a.i].time - b.d.events[b.i].time)))
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
