// The trace as a flame: a span above its children, as wide as it is long. Only the lanes in sight are
// drawn, and of each only what is wide enough to be seen.

import { useEffect, useRef, useState } from 'preact/hooks'
import { placeInLane, type Lanes } from '../model/flame'
import { formatDuration, showText } from '../model/format'
import { nameOf, serviceOf, statusError, type TraceColumns } from '../model/trace'
import type { TraceHandle } from '../model/tracehandle'
import { useCanvas } from './canvas'
import { useVirtualRows } from './virtualrows'

const high = 22

interface Props { trace: TraceColumns; handle: TraceHandle; selected: number; onSelect: (row: number) => void }

export function Flame(p: Props) {
  const [lanes, setLanes] = useState<Lanes | undefined>()
  useEffect(() => { let gone = false; void p.handle.lanes().then((l) => { if (!gone) setLanes(l) }); return () => { gone = true } }, [p.handle])
  return lanes ? <Drawn {...p} lanes={lanes} /> : <p class="pad faint">Laying out …</p>
}

function Drawn({ trace: t, lanes, selected, onSelect }: Props & { lanes: Lanes }) {
  const box = useRef<HTMLDivElement>(null)
  const [focus, setFocus] = useState(-1)
  const [hover, setHover] = useState(-1)
  const [from, to] = focus >= 0 ? [t.start[focus], t.start[focus] + Math.max(1, t.duration[focus])] : [0, Math.max(1, t.total)]
  const v = useVirtualRows(lanes.count, high)
  const canvas = useCanvas((c, w, _h, p) => {
    c.font = '12px ' + getComputedStyle(document.body).fontFamily
    c.textBaseline = 'middle'
    const pixel = (to - from) / w
    for (let k = 0; k < v.shown; k++) {
      const lane = v.first + k, y = v.offset + k * high
      // A span that began before what is shown, and then those that begin in it; what is narrower
      // than a pixel is passed over with one search.
      let i = Math.max(lanes.first[lane], placeInLane(t, lanes, lane, from) - 1)
      while (i < lanes.first[lane + 1] && t.start[lanes.rows[i]] <= to) {
        const r = lanes.rows[i], end = t.start[r] + t.duration[r]
        if (end >= from) drawSpan(c, r, (t.start[r] - from) / pixel, (end - from) / pixel, y, w, p)
        i = t.duration[r] < pixel ? Math.max(i + 1, placeInLane(t, lanes, lane, t.start[r] + pixel)) : i + 1
      }
    }
  }, [t, lanes, from, to, selected, hover, v.first, v.offset, v.shown])
  const drawSpan = (c: CanvasRenderingContext2D, r: number, a: number, b: number, y: number, w: number, p: Parameters<Parameters<typeof useCanvas>[0]>[3]) => {
    const left = Math.max(0, a), wide = Math.max(.6, Math.min(w, b) - left - (b - a > 3 ? 1 : 0))
    c.fillStyle = r === selected ? p.accent : p.service(serviceOf(t, r))
    c.globalAlpha = r === hover ? .75 : 1
    c.fillRect(left, y, wide, high - 2)
    c.globalAlpha = 1
    if (t.status[r] === statusError) { c.fillStyle = p.error; c.fillRect(left, y + high - 5, wide, 3) }
    if (wide <= 36) return
    c.save()
    c.beginPath(); c.rect(left, y, wide - 3, high); c.clip()
    c.fillStyle = r === selected ? p.panel : p.onService
    c.fillText(`${showText(nameOf(t, r))} ${formatDuration(t.duration[r])}`, left + 5, y + high / 2 - 1)
    c.restore()
  }
  const rowAt = (e: MouseEvent): number => {
    const r = box.current!.getBoundingClientRect()
    const time = from + (e.clientX - r.left) / r.width * (to - from), lane = v.first + Math.floor((e.clientY - r.top - v.offset) / high)
    if (lane < 0 || lane >= lanes.count) return -1
    const near = (to - from) / r.width
    for (let i = placeInLane(t, lanes, lane, time + near) - 1; i >= lanes.first[lane] && i >= placeInLane(t, lanes, lane, time + near) - 3; i--) {
      const row = lanes.rows[i]
      if (t.start[row] - near <= time && time <= t.start[row] + t.duration[row] + near) return row
    }
    return -1
  }
  return (
    <div class="flame">
      <div class="row pad" style={{ paddingBottom: '8px' }}><span class="faint">Click for details, double-click to make a span as wide as the screen.</span>{focus >= 0 && <button onClick={() => setFocus(-1)}>Whole trace</button>}</div>
      <div class="rows" ref={v.ref} onScroll={v.onScroll} tabIndex={0} role="region" aria-label="Flame; the waterfall has the same spans as rows">
        <div style={{ height: `${v.content}px` }}>
          <div ref={box} class="window chart-box" style={{ height: `${v.height}px` }} onMouseMove={(e) => setHover(rowAt(e))} onMouseLeave={() => setHover(-1)} onClick={(e) => { const r = rowAt(e); if (r >= 0) onSelect(r) }} onDblClick={(e) => setFocus(rowAt(e))}>
            <canvas ref={canvas} aria-hidden="true" style={{ width: '100%', height: '100%', display: 'block', cursor: hover >= 0 ? 'pointer' : 'default' }} />
            {hover >= 0 && <div class="chart-tip" style={{ top: `${v.offset + (lanes.lane[hover] - v.first + 1) * high + 4}px`, left: `${Math.max(0, Math.min(70, 100 * (t.start[hover] - from) / (to - from)))}%` }}>{showText(serviceOf(t, hover))}: {showText(nameOf(t, hover))} · {formatDuration(t.duration[hover])}</div>}
          </div>
        </div>
      </div>
    </div>
  )
}
