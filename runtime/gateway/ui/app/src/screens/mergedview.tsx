import { useEffect, useMemo, useState } from 'preact/hooks'
import { serviceColor } from '../draw/colors'
import { MergedFlame } from '../draw/merged'
import { formatCount, formatDuration, formatPercent, showText } from '../model/format'
import type { Merged, MergedNode } from '../model/merged'
import type { TraceHandle } from '../model/tracehandle'
import { writeString } from '../traceql/tokens'

/** A trace with equal paths joined: where its time goes, whatever the order. */
export function MergedView({ handle, onSelect, onFilter }: { handle: TraceHandle; onSelect: (row: number) => void; onFilter: (f: string) => void }) {
  const [merged, setMerged] = useState<Merged | undefined>()
  const [chosen, setChosen] = useState(-1)
  useEffect(() => { let gone = false; void handle.merged().then((m) => { if (!gone) setMerged(m) }); return () => { gone = true } }, [handle])
  const same = useMemo(() => (merged && chosen >= 0 ? around(merged.nodes, chosen) : undefined), [merged, chosen])
  if (!merged) return <p class="pad faint">Joining equal paths …</p>
  const n = merged.nodes[chosen]
  return (
    <div class="pad" style={{ display: 'flex', flexDirection: 'column', gap: '14px' }}>
      <p class="faint" style={{ margin: 0 }}>Spans of one operation below the same callers are one bar, as wide as their time. Choose one for who calls it, and whom it calls.{merged.leftOut > 0 && ` ${formatCount(merged.leftOut)} small ones are left out.`}</p>
      <MergedFlame nodes={merged.nodes} onSelect={setChosen} />
      {n && same && (
        <section aria-label="Chosen operation" style={{ display: 'flex', flexDirection: 'column', gap: '10px' }}>
          <div class="row"><h2><span class="dot" style={{ background: serviceColor(n.service) }} /> {showText(n.service)}: {showText(n.name)}</h2>
            <span class="muted">{formatCount(same.count)} spans, {formatDuration(same.total)}, self {formatDuration(same.self)}</span>
            <button onClick={() => onSelect(n.row)}>The longest span</button>
            <button onClick={() => onFilter(`{ resource.service.name = ${writeString(n.service)} && name = ${writeString(n.name)} }`)}>Its spans</button></div>
          <div class="grid-2"><Lines title="Called by" lines={same.callers} /><Lines title="Calls" lines={same.callees} /></div>
        </section>
      )}
    </div>
  )
}

interface Line { service: string; name: string; count: number; total: number }

/** All nodes of the operation of one node, who calls them and whom they call. */
function around(nodes: MergedNode[], chosen: number): { count: number; total: number; self: number; callers: Line[]; callees: Line[] } {
  const { service, name } = nodes[chosen]
  const out = { count: 0, total: 0, self: 0 }
  const callers = new Map<string, Line>(), callees = new Map<string, Line>()
  const add = (to: Map<string, Line>, of: MergedNode, spans: MergedNode) => {
    const key = JSON.stringify([of.service, of.name])
    let l = to.get(key)
    if (!l) to.set(key, l = { service: of.service, name: of.name, count: 0, total: 0 })
    l.count += spans.count
    l.total += spans.total
  }
  const isSame = (n: MergedNode | undefined) => n !== undefined && n.service === service && n.name === name
  for (const n of nodes) {
    if (isSame(n)) { out.count += n.count; out.total += n.total; out.self += n.self; if (n.parent >= 0) add(callers, nodes[n.parent], n) }
    if (n.parent >= 0 && isSame(nodes[n.parent])) add(callees, n, n)
  }
  const list = (m: Map<string, Line>) => [...m.values()].sort((a, b) => b.total - a.total)
  return { ...out, callers: list(callers), callees: list(callees) }
}

function Lines({ title, lines }: { title: string; lines: Line[] }) {
  const total = lines.reduce((n, l) => n + l.total, 0)
  return (
    <section class="panel" aria-label={title}>
      <h3 class="pad" style={{ margin: 0, paddingBottom: '4px' }}>{title}</h3>
      {lines.length === 0 ? <p class="pad faint" style={{ margin: 0 }}>Nothing</p> : <div class="table-wrap"><table><tbody>{lines.slice(0, 100).map((l) => (
        <tr key={`${l.service} ${l.name}`}><td><span class="row" style={{ flexWrap: 'nowrap' }}><span class="dot" style={{ background: serviceColor(l.service) }} /><span><strong>{showText(l.service)}</strong> {showText(l.name)}</span></span></td><td class="number">{formatCount(l.count)} ×</td><td class="number">{formatDuration(l.total)}</td><td class="number muted">{formatPercent(l.total / Math.max(1, total))}</td></tr>
      ))}</tbody></table></div>}
    </section>
  )
}
