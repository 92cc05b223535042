// The whole trace in a strip: how many spans ran at each moment, by service, and the part that is
// shown. A drag chooses another part.

import { useMemo, useRef, useState } from 'preact/hooks'
import { statusError, type TraceColumns } from '../model/trace'
import { useCanvas } from './canvas'

const parts = 400

export function Minimap({ trace, view, onView }: { trace: TraceColumns; view: [number, number]; onView: (v: [number, number]) => void }) {
  const box = useRef<HTMLDivElement>(null)
  const [drag, setDrag] = useState<[number, number] | undefined>()
  const busy = useMemo(() => {
    const begin = new Float64Array(parts + 1), errors = new Uint8Array(parts)
    for (let r = 0; r < trace.count; r++) {
      const a = Math.min(parts - 1, Math.floor(trace.start[r] / Math.max(1, trace.total) * parts))
      const b = Math.min(parts, Math.max(a + 1, Math.ceil((trace.start[r] + trace.duration[r]) / Math.max(1, trace.total) * parts)))
      begin[a]++
      begin[b]--
      if (trace.status[r] === statusError) errors[a] = 1
    }
    const out = new Float64Array(parts)
    let n = 0, max = 1
    for (let i = 0; i < parts; i++) { n += begin[i]; out[i] = n; max = Math.max(max, n) }
    return { out, max, errors }
  }, [trace])
  const canvas = useCanvas((c, w, h, p) => {
    const wide = w / parts
    c.fillStyle = p.accent
    for (let i = 0; i < parts; i++) {
      if (busy.out[i] === 0) continue
      const bar = Math.max(2, (h - 8) * Math.sqrt(busy.out[i] / busy.max))
      c.globalAlpha = .5
      const x = Math.round(i * wide)
      c.fillRect(x, h - bar, Math.round((i + 1) * wide) - x, bar)
    }
    c.globalAlpha = 1
    c.fillStyle = p.error
    for (let i = 0; i < parts; i++) if (busy.errors[i]) c.fillRect(i * wide, 0, Math.max(2, wide), 4)
    const part = drag ? [Math.min(...drag), Math.max(...drag)] : view
    if (drag || part[0] > 0 || part[1] < trace.total) {
      const a = part[0] / Math.max(1, trace.total) * w, b = part[1] / Math.max(1, trace.total) * w
      c.fillStyle = p.panel
      c.globalAlpha = .72
      c.fillRect(0, 0, a, h); c.fillRect(b, 0, w - b, h)
      c.globalAlpha = 1
      c.strokeStyle = p.accent
      c.lineWidth = 2
      c.strokeRect(a + 1, 1, Math.max(2, b - a - 2), h - 2)
    }
  }, [busy, view[0], view[1], drag])
  const at = (e: PointerEvent) => { const r = box.current!.getBoundingClientRect(); return Math.max(0, Math.min(1, (e.clientX - r.left) / r.width)) * trace.total }
  return (
    <div ref={box} class="minimap" title="Drag to zoom, double-click for all"
      onPointerDown={(e) => { (e.currentTarget as HTMLElement).setPointerCapture(e.pointerId); setDrag([at(e), at(e)]) }}
      onPointerMove={(e) => { if (drag) setDrag([drag[0], at(e)]) }}
      onPointerUp={() => { if (drag && Math.abs(drag[1] - drag[0]) > trace.total * .004) onView([Math.min(...drag), Math.max(...drag)]); setDrag(undefined) }}
      onDblClick={() => onView([0, trace.total])}>
      <canvas ref={canvas} aria-hidden="true" />
    </div>
  )
}
