// The trace with equal paths joined, as a flame: a node is as wide as its own time and that of all below it.

import { useMemo, useRef, useState } from 'preact/hooks'
import { formatCount, formatDuration, showText } from '../model/format'
import type { MergedNode } from '../model/merged'
import { useCanvas } from './canvas'

const high = 22

export function MergedFlame({ nodes, onSelect }: { nodes: MergedNode[]; onSelect: (k: number) => void }) {
  const box = useRef<HTMLDivElement>(null)
  const [hover, setHover] = useState(-1)
  const { from, width, deepest } = useMemo(() => placeNodes(nodes), [nodes])
  const canvas = useCanvas((c, w, _h, p) => {
    c.font = '12px ' + getComputedStyle(document.body).fontFamily
    c.textBaseline = 'middle'
    for (let k = 0; k < nodes.length; k++) {
      const left = from[k] * w, wide = width[k] * w - (width[k] * w > 3 ? 1 : 0)
      if (wide < .4) continue
      const n = nodes[k], y = n.depth * high
      c.fillStyle = p.service(n.service)
      c.globalAlpha = k === hover ? .75 : 1
      c.fillRect(left, y, wide, high - 2)
      c.globalAlpha = 1
      if (n.errors > 0) { c.fillStyle = p.error; c.fillRect(left, y + high - 5, wide, 3) }
      if (wide < 36) continue
      c.save()
      c.beginPath(); c.rect(left, y, wide - 3, high); c.clip()
      c.fillStyle = p.onService
      c.fillText(`${showText(n.name)}${n.count > 1 ? ` ×${formatCount(n.count)}` : ''} ${formatDuration(n.total)}`, left + 5, y + high / 2 - 1)
      c.restore()
    }
  }, [nodes, hover])
  const nodeAt = (e: MouseEvent): number => {
    const r = box.current!.getBoundingClientRect()
    const x = (e.clientX - r.left) / r.width, depth = Math.floor((e.clientY - r.top) / high)
    return nodes.findIndex((n, k) => n.depth === depth && from[k] <= x && x < from[k] + width[k])
  }
  const n = nodes[hover]
  return (
    <div ref={box} class="chart-box" style={{ height: `${Math.min(12_000, (deepest + 1) * high)}px` }} onMouseMove={(e) => setHover(nodeAt(e))} onMouseLeave={() => setHover(-1)} onClick={(e) => { const k = nodeAt(e); if (k >= 0) onSelect(k) }}>
      <canvas ref={canvas} aria-hidden="true" style={{ width: '100%', height: '100%', display: 'block', cursor: hover >= 0 ? 'pointer' : 'default' }} />
      {n && <div class="chart-tip" style={{ top: `${(n.depth + 1) * high + 4}px`, left: `${Math.max(0, Math.min(70, 100 * from[hover]))}%` }}>{showText(n.service)}: {showText(n.name)} · {formatCount(n.count)} × · {formatDuration(n.total)}, self {formatDuration(n.self)}</div>}
    </div>
  )
}

/** Where each node is and how wide, as shares of the whole. */
function placeNodes(nodes: MergedNode[]): { from: Float64Array; width: Float64Array; deepest: number } {
  const size = Float64Array.from(nodes, (n) => n.self)
  let deepest = 0, all = 0
  for (let k = nodes.length - 1; k >= 0; k--) if (nodes[k].parent >= 0) size[nodes[k].parent] += size[k]; else all += size[k]
  const from = new Float64Array(nodes.length), next = new Float64Array(nodes.length)
  let root = 0
  for (let k = 0; k < nodes.length; k++) {
    const p = nodes[k].parent
    if (p >= 0) { from[k] = next[p]; next[p] += size[k] } else { from[k] = root; root += size[k] }
    next[k] = from[k]
    deepest = Math.max(deepest, nodes[k].depth)
  }
  const scale = 1 / Math.max(1, all)
  return { from: from.map((v) => v * scale), width: size.map((v) => v * scale), deepest }
}
