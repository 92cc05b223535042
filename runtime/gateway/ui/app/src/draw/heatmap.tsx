// How many spans took how long, over time. A box that is drawn snaps to cells.

import { useRef, useState } from 'preact/hooks'
import { formatCount, formatDuration } from '../model/format'
import { writeTime } from '../view'
import { useCanvas } from './canvas'

export interface Heat { times: number[]; step: number; bounds: number[]; /** counts[b][t] */ counts: number[][] }
export interface Box { from: number; to: number; above: number; upTo: number }

const left = 70, bottom = 20

export function HeatMap({ heat, box, onBox, height = 240 }: { heat: Heat; box?: Box; onBox: (b: Box | undefined) => void; height?: number }) {
  const ref = useRef<HTMLDivElement>(null)
  const [drag, setDrag] = useState<{ x0: number; y0: number; x1: number; y1: number } | undefined>()
  const [hover, setHover] = useState<[number, number] | undefined>()
  const n = heat.times.length, m = heat.bounds.length
  const max = Math.max(1, ...heat.counts.map((r) => r.reduce((a, b) => Math.max(a, b), 0)))
  const canvas = useCanvas((c, w, h, p) => {
    const cw = (w - left) / Math.max(1, n), ch = (h - bottom) / Math.max(1, m)
    for (let b = 0; b < m; b++) for (let t = 0; t < n; t++) {
      const v = heat.counts[b][t]
      if (v <= 0) continue
      c.globalAlpha = .15 + .85 * Math.log(1 + v) / Math.log(1 + max)
      c.fillStyle = p.accent
      const x = Math.round(left + t * cw), y = Math.round((m - 1 - b) * ch)
      c.fillRect(x, y, Math.max(1, Math.round(left + (t + 1) * cw) - x - (cw > 5 ? 1 : 0)), Math.max(1, Math.round((m - b) * ch) - y - 1))
    }
    c.globalAlpha = 1
    c.font = '11px ' + getComputedStyle(document.body).fontFamily
    c.fillStyle = p.text3
    c.textAlign = 'right'
    c.textBaseline = 'middle'
    const every = Math.ceil(14 / Math.max(1, ch))
    for (let b = 0; b < m; b++) if (b % every === 0) c.fillText(`≤ ${formatDuration(heat.bounds[b] * 1e9)}`, left - 6, Math.max(6, (m - 1 - b) * ch + ch / 2))
    c.textBaseline = 'bottom'
    const marks = Math.max(1, Math.min(4, Math.floor((w - left) / 110)))
    for (let k = 0; k <= marks && n > 0; k++) {
      const t = Math.round(k * (n - 1) / marks)
      c.textAlign = k === 0 ? 'left' : k === marks ? 'right' : 'center'
      c.fillText(writeTime(heat.times[t] - heat.step).slice(k === 0 ? 5 : 11, 19), left + (t + (k === marks ? 1 : k === 0 ? 0 : .5)) * cw, h)
    }
    const shown = drag ? snap(drag) : box && cellsOf(box)
    if (shown) {
      const y = (m - 1 - shown[3]) * ch
      c.strokeStyle = p.warn
      c.lineWidth = 2
      c.strokeRect(left + shown[0] * cw, y + 1, (shown[1] - shown[0] + 1) * cw, (shown[3] - shown[2] + 1) * ch - 2)
    } else if (hover) { c.strokeStyle = p.text2; c.lineWidth = 1; c.strokeRect(left + hover[0] * cw + .5, (m - 1 - hover[1]) * ch + .5, cw, ch) }
  }, [heat, box, drag, hover])
  const size = () => ref.current!.getBoundingClientRect()
  const cell = (x: number, y: number): [number, number] => {
    const r = size()
    return [Math.max(0, Math.min(n - 1, Math.floor((x - left) / (r.width - left) * n))), Math.max(0, Math.min(m - 1, m - 1 - Math.floor(y / (height - bottom) * m)))]
  }
  const snap = (d: NonNullable<typeof drag>): [number, number, number, number] => {
    const a = cell(d.x0, d.y0), b = cell(d.x1, d.y1)
    return [Math.min(a[0], b[0]), Math.max(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[1], b[1])]
  }
  const cellsOf = (b: Box): [number, number, number, number] | undefined => {
    const t0 = heat.times.findIndex((t) => t > b.from), t1 = heat.times.findLastIndex((t) => t <= b.to)
    const b0 = heat.bounds.findIndex((x) => x * 1e9 > b.above), b1 = heat.bounds.findLastIndex((x) => x * 1e9 <= b.upTo)
    return t0 < 0 || b0 < 0 || t1 < t0 || b1 < b0 ? undefined : [t0, t1, b0, b1]
  }
  const at = (e: PointerEvent) => { const r = size(); return { x: e.clientX - r.left, y: e.clientY - r.top } }
  return (
    <div class="chart-box" ref={ref} data-testid="heatmap"
      onPointerDown={(e) => { const q = at(e); (e.currentTarget as HTMLElement).setPointerCapture(e.pointerId); setDrag({ x0: q.x, y0: q.y, x1: q.x, y1: q.y }) }}
      onPointerMove={(e) => { const q = at(e); if (drag) setDrag({ ...drag, x1: q.x, y1: q.y }); else if (q.x > left) setHover(cell(q.x, q.y)) }}
      onPointerLeave={() => setHover(undefined)}
      onPointerUp={() => {
        if (drag && Math.hypot(drag.x1 - drag.x0, drag.y1 - drag.y0) > 6) {
          const [t0, t1, b0, b1] = snap(drag)
          onBox({ from: heat.times[t0] - heat.step, to: heat.times[t1], above: b0 > 0 ? heat.bounds[b0 - 1] * 1e9 : 0, upTo: heat.bounds[b1] * 1e9 })
        } else if (drag) onBox(undefined)
        setDrag(undefined)
      }}>
      <canvas ref={canvas} aria-hidden="true" style={{ width: '100%', height: `${height}px`, display: 'block', cursor: 'crosshair', touchAction: 'none' }} />
      {hover && !drag && heat.counts[hover[1]]?.[hover[0]] > 0 && <div class="chart-tip" style={{ top: '0', right: '0' }}>{writeTime(heat.times[hover[0]] - heat.step)} · up to {formatDuration(heat.bounds[hover[1]] * 1e9)} · {formatCount(heat.counts[hover[1]][hover[0]])} spans</div>}
    </div>
  )
}
