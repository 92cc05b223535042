// Traces by start and duration, on a logarithmic scale. A click opens a trace; a box narrows the search.

import { useRef, useState } from 'preact/hooks'
import { formatDuration } from '../model/format'
import { writeTime } from '../view'
import { useCanvas } from './canvas'

export interface Point { id: string; time: number; duration: number; error: boolean; name: string; service: string }

const left = 62, bottom = 20, top = 10, right = 10

export function Scatter({ points, from, to, onOpen, onBox }: { points: Point[]; from: number; to: number; onOpen: (id: string) => void; onBox: (from: number, to: number, min: number, max: number) => void }) {
  const box = useRef<HTMLDivElement>(null)
  const [hover, setHover] = useState<Point | undefined>()
  const [drag, setDrag] = useState<{ x0: number; y0: number; x1: number; y1: number } | undefined>()
  const height = 260
  let low = Infinity, high = 0
  for (const p of points) { low = Math.min(low, Math.max(p.duration, 1e3)); high = Math.max(high, p.duration) }
  if (!(high > 0)) { low = 1e6; high = 1e9 }
  const a = Math.floor(Math.log10(low)), b = Math.max(a + 1, Math.ceil(Math.log10(Math.max(high, low * 10))))
  const scale = (w: number) => ({
    x: (t: number) => left + (t - from) / Math.max(1, to - from) * (w - left - right),
    y: (d: number) => height - bottom - (Math.log10(Math.max(d, 10 ** a)) - a) / (b - a) * (height - bottom - top),
  })
  const canvas = useCanvas((c, w, h, p) => {
    const s = scale(w)
    c.font = '11px ' + getComputedStyle(document.body).fontFamily
    c.fillStyle = p.text3
    c.strokeStyle = p.line
    for (let e = a; e <= b; e++) {
      const y = Math.round(s.y(10 ** e)) + .5
      c.beginPath(); c.moveTo(left, y); c.lineTo(w - right, y); c.stroke()
      c.textAlign = 'right'; c.textBaseline = 'middle'
      c.fillText(formatDuration(10 ** e), left - 6, y)
    }
    c.textBaseline = 'bottom'
    for (let k = 0; k <= 4; k++) {
      const t = from + (to - from) * k / 4
      c.textAlign = k === 0 ? 'left' : k === 4 ? 'right' : 'center'
      c.fillText(writeTime(t).slice(5, 19), s.x(t), h)
    }
    for (const pt of points) {
      c.fillStyle = pt.error ? p.error : p.service(pt.service)
      c.globalAlpha = .8
      c.beginPath()
      if (pt.error) { const x = s.x(pt.time), y = s.y(pt.duration); c.moveTo(x, y - 5); c.lineTo(x + 5, y + 4); c.lineTo(x - 5, y + 4); c.closePath() }
      else c.arc(s.x(pt.time), s.y(pt.duration), 4, 0, 7)
      c.fill()
    }
    c.globalAlpha = 1
    if (hover) { c.strokeStyle = p.text; c.lineWidth = 2; c.beginPath(); c.arc(s.x(hover.time), s.y(hover.duration), 7, 0, 7); c.stroke() }
    if (drag) { c.strokeStyle = p.accent; c.lineWidth = 1; c.strokeRect(Math.min(drag.x0, drag.x1), Math.min(drag.y0, drag.y1), Math.abs(drag.x1 - drag.x0), Math.abs(drag.y1 - drag.y0)) }
  }, [points, from, to, hover, drag])
  const at = (e: PointerEvent) => { const r = box.current!.getBoundingClientRect(); return { x: e.clientX - r.left, y: e.clientY - r.top, w: r.width } }
  return (
    <div class="chart-box" ref={box}
      onPointerMove={(e) => {
        const m = at(e)
        if (drag) { setDrag({ ...drag, x1: m.x, y1: m.y }); return }
        const s = scale(m.w)
        let best: Point | undefined, near = 12
        for (const p of points) { const d = Math.hypot(s.x(p.time) - m.x, s.y(p.duration) - m.y); if (d < near) { near = d; best = p } }
        setHover(best)
      }}
      onPointerLeave={() => setHover(undefined)}
      onPointerDown={(e) => { const m = at(e); (e.currentTarget as HTMLElement).setPointerCapture(e.pointerId); setDrag({ x0: m.x, y0: m.y, x1: m.x, y1: m.y }) }}
      onPointerUp={(e) => {
        const m = at(e)
        if (drag && Math.abs(drag.x1 - drag.x0) > 8 && Math.abs(drag.y1 - drag.y0) > 8) {
          const t = (x: number) => from + (x - left) / (m.w - left - right) * (to - from)
          const d = (y: number) => 10 ** (a + (height - bottom - y) / (height - bottom - top) * (b - a))
          onBox(t(Math.min(drag.x0, drag.x1)), t(Math.max(drag.x0, drag.x1)), d(Math.max(drag.y0, drag.y1)), d(Math.min(drag.y0, drag.y1)))
        } else if (hover) onOpen(hover.id)
        setDrag(undefined)
      }}>
      <canvas ref={canvas} aria-hidden="true" style={{ width: '100%', height: `${height}px`, display: 'block', cursor: hover ? 'pointer' : 'crosshair' }} />
      {hover && !drag && <div class="chart-tip" style={{ top: '4px', right: '8px' }}>{hover.service}: {hover.name} · {formatDuration(hover.duration)} · {writeTime(hover.time)}</div>}
    </div>
  )
}
