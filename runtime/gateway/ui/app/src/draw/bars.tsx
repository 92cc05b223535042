// Bars over time, stacked by status, with a range that can be dragged out.

import { useRef, useState } from 'preact/hooks'
import { formatCount } from '../model/format'
import { writeTime } from '../view'
import { useCanvas } from './canvas'

/** One layer of bars: values by interval, in the order of times. */
export interface Layer { name: string; color: 'accent' | 'error' | 'ok'; values: number[] }

export function Bars({ times, step, layers, onRange }: { times: number[]; step: number; layers: Layer[]; onRange: (from: number, to: number) => void }) {
  const [hover, setHover] = useState<number | undefined>()
  const [drag, setDrag] = useState<[number, number] | undefined>()
  const box = useRef<HTMLDivElement>(null)
  const n = times.length
  const sums = times.map((_, i) => layers.reduce((s, l) => s + l.values[i], 0))
  const max = Math.max(1, ...sums)
  const canvas = useCanvas((c, w, h, p) => {
    const foot = 16, top = 14
    const high = h - foot - top
    const wide = w / Math.max(1, n)
    const colorOf = { accent: p.accent, error: p.error, ok: p.accent }
    c.font = '11px ' + getComputedStyle(document.body).fontFamily
    c.strokeStyle = p.line
    c.beginPath(); c.moveTo(0, h - foot + .5); c.lineTo(w, h - foot + .5); c.stroke()
    if (drag) { c.fillStyle = p.select; const a = Math.min(...drag), b = Math.max(...drag); c.fillRect(a * wide, top, (b - a + 1) * wide, high) }
    else if (hover !== undefined) { c.fillStyle = p.hover; c.fillRect(hover * wide, top, wide, high) }
    for (let i = 0; i < n; i++) {
      let y = h - foot
      for (const l of layers) {
        const v = l.values[i]
        if (v <= 0) continue
        const bar = Math.max(1, high * v / max)
        y -= bar
        c.fillStyle = colorOf[l.color]
        c.globalAlpha = l.color === 'accent' ? .75 : 1
        c.fillRect(i * wide + Math.min(1, wide * .1), y, Math.max(1, wide - Math.min(2, wide * .2)), bar)
        c.globalAlpha = 1
      }
    }
    c.fillStyle = p.text3
    c.textBaseline = 'bottom'
    c.fillText(formatCount(max), 2, 12)
    const marks = Math.max(2, Math.floor(w / 190))
    for (let k = 0; k <= marks; k++) {
      const i = Math.round(k * (n - 1) / marks)
      if (times[i] === undefined) continue
      const text = writeTime(times[i] - step).slice(k === 0 || n * step > 86_400_000 ? 5 : 11, 16 + (step < 60_000 ? 3 : 0))
      const tw = c.measureText(text).width
      c.fillText(text, Math.min(w - tw - 2, Math.max(2, i * wide - (k === 0 ? 0 : tw / 2))), h)
    }
  }, [times, layers, hover, drag])
  const at = (e: PointerEvent) => {
    const r = box.current!.getBoundingClientRect()
    return Math.max(0, Math.min(n - 1, Math.floor((e.clientX - r.left) / r.width * n)))
  }
  return (
    <div class="chart-box" ref={box}
      onPointerMove={(e) => { const i = at(e); setHover(i); if (drag) setDrag([drag[0], i]) }}
      onPointerLeave={() => setHover(undefined)}
      onPointerDown={(e) => { if (e.button === 0) { (e.currentTarget as HTMLElement).setPointerCapture(e.pointerId); const i = at(e); setDrag([i, i]) } }}
      onPointerUp={() => {
        if (drag && drag[0] !== drag[1]) onRange(times[Math.min(...drag)] - step, times[Math.max(...drag)])
        setDrag(undefined)
      }}>
      <canvas class="chart" ref={canvas} aria-hidden="true" style={{ cursor: 'crosshair', touchAction: 'pan-y' }} />
      {hover !== undefined && !drag && times[hover] !== undefined && (
        <div class="chart-tip" style={{ top: 0, left: `${Math.min(72, 100 * hover / n)}%` }}>
          {writeTime(times[hover] - step)} · {formatCount(sums[hover])} spans
          {layers.filter((l) => l.color === 'error').map((l) => l.values[hover] > 0 && <span class="error-text"> · {formatCount(l.values[hover])} errors</span>)}
        </div>
      )}
    </div>
  )
}
