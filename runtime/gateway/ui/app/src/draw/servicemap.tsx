// The map of services: who calls whom, from left to right. It is for the eye; the same edges stand in
// a table beside it.

import { Graph, layout } from '@dagrejs/dagre'
import { useMemo } from 'preact/hooks'
import { formatCount, formatDuration, formatPercent, showText } from '../model/format'
import type { Drawn, Edge } from '../model/servicemap'
import { serviceColor } from './colors'

interface Props { drawn: Drawn; focus: string; /** How a count is written: a rate or a number of calls. */ count: (e: Edge) => string; onFocus: (service: string) => void; onEdge?: (e: Edge) => void }

const high = 44

interface Placed { width: number; height: number; nodes: { name: string; x: number; y: number; width: number; depth: boolean }[]; lines: { e: Edge; d: string; x: number; y: number }[] }

function place({ services, edges }: Drawn, count: Props['count'], labels: boolean): Placed {
  const g = new Graph({ multigraph: true })
  g.setGraph({ rankdir: 'LR', nodesep: 18, ranksep: labels ? 26 : 70, edgesep: 14, marginx: 12, marginy: 12 })
  g.setDefaultEdgeLabel(() => ({}))
  const stores = new Set(edges.filter((e) => e.kind === 'database').map((e) => e.server))
  for (const s of services) g.setNode(s, { width: Math.max(96, Math.min(240, 44 + 8.4 * showText(s).length)), height: high })
  for (const e of edges) g.setEdge(e.client, e.server, labels ? { width: 6.1 * labelOf(e, count).length + 16, height: 18, labelpos: 'c' } : {}, e.kind)
  layout(g)
  const size = g.graph()
  const nodes = services.map((name) => { const n = g.node(name); return { name, x: n.x, y: n.y, width: n.width, depth: stores.has(name) } })
  const lines = edges.map((e) => {
    const l = g.edge(e.client, e.server, e.kind) as { points: { x: number; y: number }[]; x?: number; y?: number }
    const m = l.points[Math.floor(l.points.length / 2)]
    return { e, d: curve(l.points), x: l.x ?? m.x, y: l.y ?? m.y }
  })
  return { width: size.width ?? 0, height: size.height ?? 0, nodes, lines }
}

/** A smooth line through points. */
function curve(p: { x: number; y: number }[]): string {
  let d = `M${p[0].x},${p[0].y}`
  for (let i = 1; i < p.length - 1; i++) d += ` Q${p[i].x},${p[i].y} ${(p[i].x + p[i + 1].x) / 2},${(p[i].y + p[i + 1].y) / 2}`
  return `${d} L${p[p.length - 1].x},${p[p.length - 1].y}`
}

const bad = (e: Edge) => e.errors > 0 && e.errors / e.count >= .005

function labelOf(e: Edge, count: Props['count']): string {
  return `${count(e)} · ${formatDuration(e.p95)}${bad(e) ? ` · ${formatPercent(e.errors / e.count)}` : ''}`
}

export function ServiceMap({ drawn, focus, count, onFocus, onEdge }: Props) {
  const labels = drawn.edges.length <= 40
  const p = useMemo(() => place(drawn, count, labels), [drawn, labels])
  const most = Math.max(1, ...drawn.edges.map((e) => e.count))
  return (
    <div class="map-box" tabIndex={0} role="region" aria-label="Map; the table below has the same">
      <svg class="map" width={p.width} style={{ minWidth: `${Math.min(p.width, Math.max(560, .7 * p.width))}px` }} viewBox={`0 0 ${p.width} ${p.height}`} aria-hidden="true">
        <defs>
          {['map-head', 'map-head-bad'].map((id) => <marker key={id} id={id} viewBox="0 0 8 8" refX="7" refY="4" markerWidth="8" markerHeight="8" markerUnits="userSpaceOnUse" orient="auto"><path d="M0,0 L8,4 L0,8 z" /></marker>)}
        </defs>
        {p.lines.map(({ e, d }) => <path key={`${e.client}→${e.server}→${e.kind}`} class={'map-line' + (bad(e) ? ' bad' : '') + (e.kind === 'message' ? ' message' : '')} d={d} stroke-width={1 + 3 * Math.log(1 + e.count) / Math.log(1 + most)} marker-end={`url(#map-head${bad(e) ? '-bad' : ''})`}><title>{`${showText(e.client)} → ${showText(e.server)} (${e.kind}): ${labelOf(e, count)}, ${formatCount(e.errors)} errors`}</title></path>)}
        {labels && p.lines.map(({ e, x, y }) => {
          const text = labelOf(e, count), wide = 6.1 * text.length + 8
          return <g key={`${e.client}→${e.server}→${e.kind}`} class={'map-label' + (bad(e) ? ' bad' : '')} onClick={() => onEdge?.(e)}><rect x={x - wide / 2} y={y - 9} width={wide} height="18" rx="4" /><text x={x} y={y}>{text}</text></g>
        })}
        {p.nodes.map((n) => (
          <g key={n.name} class={'map-node' + (n.name === focus ? ' focus' : '')} transform={`translate(${n.x - n.width / 2},${n.y - high / 2})`} onClick={() => onFocus(n.name)}>
            <title>{showText(n.name)}</title>
            <rect width={n.width} height={high} rx={n.depth ? high / 2 : 7} />
            <rect class="map-color" x="12" y={high / 2 - 5} width="10" height="10" rx="3" style={{ fill: serviceColor(n.name) }} />
            <text x="30" y={high / 2 + 4}>{cut(showText(n.name) || 'no name', Math.floor((n.width - 40) / 8.2))}</text>
          </g>
        ))}
      </svg>
    </div>
  )
}

const cut = (s: string, most: number) => (s.length > most ? s.slice(0, Math.max(1, most - 1)) + '…' : s)

/** What a map does not draw, in words. */
export function leftOutOf(d: Drawn): string {
  const parts = [d.leftOut > 0 && `${formatCount(d.leftOut)} services with few calls`, d.thin > 0 && `${formatCount(d.thin)} thin lines`].filter(Boolean)
  return parts.length === 0 ? '' : `Not drawn: ${parts.join(' and ')}. The table has them; a service that is chosen shows its neighbours.`
}
