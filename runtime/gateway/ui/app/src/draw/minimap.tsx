// The whole trace in a strip: how many spans ran at each moment, by service, and the part that is
// shown. A drag chooses another part.

import { useRef, useState } from 'preact/hooks'
import type { Busy } from '../model/trace'
import { useCanvas } from './canvas'

export function Minimap({ busy, total, view, onView }: { busy: Busy; total: number; view: [number, number]; onView: (v: [number, number]) => void }) {
  const box = useRef<HTMLDivElement>(null)
  const [drag, setDrag] = useState<[number, number] | undefined>()
  const canvas = useCanvas((c, w, h, p) => {
    const parts = busy.spans.length, wide = w / parts
    c.fillStyle = p.accent
    for (let i = 0; i < parts; i++) {
      if (busy.spans[i] === 0) continue
      const bar = Math.max(2, (h - 8) * Math.sqrt(busy.spans[i] / busy.most))
      c.globalAlpha = .5
      const x = Math.round(i * wide)
      c.fillRect(x, h - bar, Math.round((i + 1) * wide) - x, bar)
    }
    c.globalAlpha = 1
    c.fillStyle = p.error
    for (let i = 0; i < parts; i++) if (busy.errors[i]) c.fillRect(i * wide, 0, Math.max(2, wide), 4)
    const part = drag ? [Math.min(...drag), Math.max(...drag)] : view
    if (drag || part[0] > 0 || part[1] < total) {
      const a = part[0] / Math.max(1, total) * w, b = part[1] / Math.max(1, total) * w
      c.fillStyle = p.panel
      c.globalAlpha = .72
      c.fillRect(0, 0, a, h); c.fillRect(b, 0, w - b, h)
      c.globalAlpha = 1
      c.strokeStyle = p.accent
      c.lineWidth = 2
      c.strokeRect(a + 1, 1, Math.max(2, b - a - 2), h - 2)
    }
  }, [busy, view[0], view[1], drag])
  const at = (e: PointerEvent) => { const r = box.current!.getBoundingClientRect(); return Math.max(0, Math.min(1, (e.clientX - r.left) / r.width)) * total }
  return (
    <div ref={box} class="minimap" title="Drag to zoom, double-click for all"
      onPointerDown={(e) => { (e.currentTarget as HTMLElement).setPointerCapture(e.pointerId); setDrag([at(e), at(e)]) }}
      onPointerMove={(e) => { if (drag) setDrag([drag[0], at(e)]) }}
      onPointerUp={() => { if (drag && Math.abs(drag[1] - drag[0]) > total * .004) onView([Math.min(...drag), Math.max(...drag)]); setDrag(undefined) }}
      onDblClick={() => onView([0, total])}>
      <canvas ref={canvas} aria-hidden="true" />
    </div>
  )
}
