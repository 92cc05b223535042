// The trace as a flame: a span above its children, as wide as it is long. Spans of one level that
// overlap get lanes of their own.

import { useMemo, useRef, useState } from 'preact/hooks'
import { formatDuration, showText } from '../model/format'
import { nameOf, serviceOf, statusError, type TraceColumns } from '../model/trace'
import { useCanvas } from './canvas'

const high = 22

export function Flame({ trace: t, selected, onSelect }: { trace: TraceColumns; selected: number; onSelect: (row: number) => void }) {
  const box = useRef<HTMLDivElement>(null)
  const [focus, setFocus] = useState(-1)
  const [hover, setHover] = useState(-1)
  const lanes = useMemo(() => layOut(t), [t])
  const view: [number, number] = focus >= 0 ? [t.start[focus], t.start[focus] + Math.max(1, t.duration[focus])] : [0, Math.max(1, t.total)]
  const height = Math.min(12_000, (lanes.count + 1) * high)
  const canvas = useCanvas((c, w, _h, p) => {
    c.font = '12px ' + getComputedStyle(document.body).fontFamily
    c.textBaseline = 'middle'
    const last = new Float64Array(lanes.count).fill(-1)
    for (let r = 0; r < t.count; r++) {
      const a = (t.start[r] - view[0]) / (view[1] - view[0]) * w, b = (t.start[r] + t.duration[r] - view[0]) / (view[1] - view[0]) * w
      const lane = lanes.of[r]
      if (b < 0 || a > w || lane * high > height || (b - a < .5 && b <= last[lane])) continue
      const left = Math.max(0, a), wide = Math.max(.6, Math.min(w, b) - left - (b - a > 3 ? 1 : 0))
      last[lane] = left + wide
      c.fillStyle = r === selected ? p.accent : p.service(serviceOf(t, r))
      c.globalAlpha = r === hover ? .75 : 1
      c.fillRect(left, lane * high, wide, high - 2)
      c.globalAlpha = 1
      if (t.status[r] === statusError) { c.fillStyle = p.error; c.fillRect(left, lane * high + high - 5, wide, 3) }
      if (wide > 36) {
        c.save()
        c.beginPath(); c.rect(left, lane * high, wide - 3, high); c.clip()
        c.fillStyle = r === selected ? p.panel : p.onService
        c.fillText(`${showText(nameOf(t, r))} ${formatDuration(t.duration[r])}`, left + 5, lane * high + high / 2 - 1)
        c.restore()
      }
    }
  }, [t, lanes, view[0], view[1], selected, hover])
  const rowAt = (e: MouseEvent): number => {
    const r = box.current!.getBoundingClientRect()
    const time = view[0] + (e.clientX - r.left) / r.width * (view[1] - view[0]), lane = Math.floor((e.clientY - r.top) / high)
    for (const k of lanes.rows[lane] ?? []) if (t.start[k] <= time && time <= t.start[k] + t.duration[k]) return k
    return -1
  }
  return (
    <div class="pad">
      <div class="row" style={{ marginBottom: '8px' }}><span class="faint">Click for details, double-click to make a span as wide as the screen.</span>{focus >= 0 && <button onClick={() => setFocus(-1)}>Whole trace</button>}</div>
      <div ref={box} class="chart-box" style={{ height: `${height}px` }} onMouseMove={(e) => setHover(rowAt(e))} onMouseLeave={() => setHover(-1)} onClick={(e) => { const r = rowAt(e); if (r >= 0) onSelect(r) }} onDblClick={(e) => setFocus(rowAt(e))}>
        <canvas ref={canvas} aria-hidden="true" style={{ width: '100%', height: '100%', display: 'block', cursor: hover >= 0 ? 'pointer' : 'default' }} />
        {hover >= 0 && <div class="chart-tip" style={{ top: `${(lanes.of[hover] + 1) * high + 4}px`, left: `${Math.max(0, Math.min(70, 100 * (t.start[hover] - view[0]) / (view[1] - view[0])))}%` }}>{showText(serviceOf(t, hover))}: {showText(nameOf(t, hover))} · {formatDuration(t.duration[hover])}</div>}
      </div>
      <p class="visually-hidden">The same spans are in the waterfall, as rows.</p>
    </div>
  )
}

/** Gives every span a lane below that of its parent, the first that is free at its time. */
function layOut(t: TraceColumns): { of: Uint32Array; count: number; rows: number[][] } {
  const of = new Uint32Array(t.count)
  const ends: number[] = []
  const rows: number[][] = []
  for (let r = 0; r < t.count; r++) {
    let lane = t.parent[r] >= 0 ? of[t.parent[r]] + 1 : 0
    for (let tries = 0; tries < 64 && ends[lane] !== undefined && ends[lane] > t.start[r]; tries++) lane++
    of[r] = lane
    ends[lane] = t.start[r] + t.duration[r]
    ;(rows[lane] ??= []).push(r)
  }
  for (let i = 0; i < rows.length; i++) rows[i] ??= []
  return { of, count: rows.length, rows }
}
