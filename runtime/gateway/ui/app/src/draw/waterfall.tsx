// The waterfall: names as rows of the page, only those in sight, and bars on one canvas beside them.

import { useEffect, useRef } from 'preact/hooks'
import { formatDuration, showText } from '../model/format'
import { eachStretch, hasEvents, hasLinks, isOdd, isOrphan, kinds, nameOf, serviceOf, statusError, type Path, type TraceColumns } from '../model/trace'
import { nameWidth } from '../settings'
import { useCanvas } from './canvas'
import { serviceColor } from './colors'
import { useVirtualRows } from './virtualrows'

export const rowHeight = 26

export interface WaterfallProps {
  trace: TraceColumns
  rows: Int32Array
  view: [number, number]
  onView: (v: [number, number]) => void
  selected: number
  onSelect: (row: number) => void
  collapsed: Set<number>
  onCollapse: (row: number) => void
  /** Spans that a filter matches, or nothing without one. */
  matches?: Uint8Array
  path?: Path
  scrollTo: { row: number; turn: number }
}

export function Waterfall(p: WaterfallProps) {
  const { trace, rows, view } = p
  const { ref: scroller, onScroll, height, content, first, offset, shown, reveal } = useVirtualRows(rows.length, rowHeight)
  useEffect(() => { reveal(p.scrollTo.row < 0 ? -1 : indexOf(rows, p.scrollTo.row)) }, [p.scrollTo])

  const width = view[1] - view[0] || 1
  const canvas = useCanvas((c, w, _h, palette) => {
    const x = (t: number) => (t - view[0]) / width * w
    c.font = '11px ' + getComputedStyle(document.body).fontFamily
    c.textBaseline = 'middle'
    c.lineWidth = 1
    for (const t of ticks(view, w)) { const at = Math.round(x(t)) + .5; c.strokeStyle = palette.line; c.beginPath(); c.moveTo(at, 0); c.lineTo(at, shown * rowHeight); c.stroke() }
    for (let k = 0; k < shown; k++) {
      const r = rows[first + k]
      const y = offset + k * rowHeight
      if (r === p.selected) { c.fillStyle = palette.select; c.fillRect(0, y, w, rowHeight) }
      const dim = p.matches && !p.matches[r] && r !== p.selected
      c.globalAlpha = dim ? .28 : 1
      const a = x(trace.start[r]), b = x(trace.start[r] + trace.duration[r])
      const left = Math.max(-2, a), right = Math.min(w + 2, Math.max(b, a + 2))
      if (right > 0 && left < w) {
        const service = serviceOf(trace, r)
        const children = trace.size[r] > 1
        c.fillStyle = children ? palette.soft(service) : palette.service(service)
        c.fillRect(left, y + 6, right - left, rowHeight - 12)
        if (children) drawSelf(c, trace, r, x, y, w, palette.service(service))
        if (trace.status[r] === statusError) { c.fillStyle = palette.error; c.fillRect(left, y + rowHeight - 7, right - left, 3); drawMark(c, Math.max(2, left) - 1, y + rowHeight / 2, palette.error) }
        if (p.path) { c.fillStyle = palette.path; eachStretch(p.path, r, (from, to) => c.fillRect(Math.max(0, x(from)), y + 3, Math.max(1, Math.min(w, x(to)) - Math.max(0, x(from))), 2)) }
      }
      c.fillStyle = palette.text2
      c.strokeStyle = r === p.selected ? palette.select : palette.panel
      c.lineWidth = 3
      c.lineJoin = 'round'
      const label = formatDuration(trace.duration[r])
      const lw = c.measureText(label).width
      const at = right + 6 + lw < w ? Math.max(right + 6, 4) : left - lw - 8 > 0 ? Math.min(left - lw - 8, w - lw - 4) : NaN
      const lx = Number.isNaN(at) ? Math.max(8, Math.min(w - lw - 6, Math.max(left, 0) + 10)) : at
      if (Number.isNaN(at)) c.fillStyle = palette.text
      c.strokeText(label, lx, y + rowHeight / 2 + .5)
      c.fillText(label, lx, y + rowHeight / 2 + .5)
      c.globalAlpha = 1
    }
  }, [trace, rows, first, offset, shown, view[0], view[1], p.selected, p.matches, p.path, nameWidth.value])

  const box = useRef<HTMLDivElement>(null)
  const drag = useRef<{ x: number; view: [number, number] } | undefined>(undefined)
  const zoom = (e: WheelEvent) => {
    if (!e.ctrlKey && !e.metaKey && !e.shiftKey) return
    e.preventDefault()
    const r = box.current!.getBoundingClientRect()
    const t = view[0] + (e.clientX - r.left) / r.width * width
    const f = e.shiftKey ? 1 : e.deltaY > 0 ? 1.25 : .8
    const shift = e.shiftKey ? (e.deltaY || e.deltaX) / r.width * width : 0
    p.onView(clampView([t - (t - view[0]) * f + shift, t + (view[1] - t) * f + shift], trace.total))
  }
  const rowAt = (e: MouseEvent) => rows[first + Math.floor((e.clientY - box.current!.getBoundingClientRect().top - offset) / rowHeight)]

  return (
    <div class="waterfall" style={{ '--names': `${nameWidth.value * 100}%` }}>
      <div class="ruler"><Resizer /><Ruler view={view} /></div>
      <div class="rows" ref={scroller} onScroll={onScroll} role="treegrid" aria-label="Spans" aria-rowcount={rows.length} tabIndex={-1}>
        <div style={{ height: `${content}px` }}>
          <div class="window" style={{ height: `${height}px` }}>
            <div class="names" style={{ transform: `translateY(${offset}px)` }}>
              {Array.from({ length: shown }, (_, k) => <NameRow key={first + k} {...p} row={rows[first + k]} index={first + k} />)}
            </div>
            <div class="bars" ref={box} onWheel={zoom}
              onPointerDown={(e) => { if (e.button === 0) { drag.current = { x: e.clientX, view }; (e.currentTarget as HTMLElement).setPointerCapture(e.pointerId) } }}
              onPointerMove={(e) => {
                const d = drag.current
                if (!d || (Math.abs(e.clientX - d.x) < 4 && d.view === view)) return
                const shift = (d.x - e.clientX) / box.current!.clientWidth * (d.view[1] - d.view[0])
                const from = Math.max(0, Math.min(trace.total - (d.view[1] - d.view[0]), d.view[0] + shift))
                p.onView([from, from + d.view[1] - d.view[0]])
              }}
              onPointerUp={(e) => { const d = drag.current; drag.current = undefined; if (d && Math.abs(e.clientX - d.x) < 4) { const r = rowAt(e); if (r !== undefined) p.onSelect(r) } }}>
              <canvas ref={canvas} aria-hidden="true" />
            </div>
          </div>
        </div>
      </div>
    </div>
  )
}

function NameRow({ trace, row, index, selected, collapsed, onSelect, onCollapse, matches }: WaterfallProps & { row: number; index: number }) {
  const service = serviceOf(trace, row), name = nameOf(trace, row)
  const children = trace.size[row] > 1
  const level = trace.depth[row]
  const closed = collapsed.has(row)
  const error = trace.status[row] === statusError
  const kind = kinds[trace.kind[row]] ?? 'unspecified'
  const deep = level > 24
  return (
    <div role="row" aria-rowindex={index + 1} aria-level={level + 1} aria-selected={row === selected} aria-expanded={children ? !closed : undefined}
      aria-label={`${service}, ${name}, ${formatDuration(trace.duration[row])}${error ? ', error' : ''}, level ${level + 1}`}
      class={'name-row' + (row === selected ? ' chosen' : '') + (matches && !matches[row] && row !== selected ? ' faded' : '')} onClick={() => onSelect(row)}>
      <span role="gridcell" class="name-cell" style={{ paddingLeft: `${8 + Math.min(level, 24) * 12}px` }}>
        {children ? <button class="fold" tabIndex={-1} aria-label={closed ? 'Open' : 'Close'} onClick={(e) => { e.stopPropagation(); onCollapse(row) }}>{closed ? '▸' : '▾'}</button> : <span class="fold" />}
        <span class="dot" style={{ background: serviceColor(service) }} />
        {deep && <span class="faint mono">{level}</span>}
        {error && <span class="error-text" title="error" aria-hidden="true">▲</span>}
        <span class="cut"><span class="name-text">{showText(name) || <i>no name</i>}</span> <span class="faint">{showText(service)}</span></span>
        <span class="marks faint">
          {(trace.flags[row] & isOrphan) !== 0 && <span title="its parent has not been received">⚠ no parent</span>}
          {(trace.flags[row] & isOdd) !== 0 && <span title="odd: part of a cycle, or it ends before it starts">⚠</span>}
          {trace.kind[row] > 1 && <span title={kind}>{{ server: '⇥', client: '↦', producer: '⇢', consumer: '⇠' }[kind]}</span>}
          {(trace.flags[row] & hasEvents) !== 0 && <span title="has events">•</span>}
          {(trace.flags[row] & hasLinks) !== 0 && <span title="has links">∞</span>}
          {closed && <span class="pill">+{trace.size[row] - 1}</span>}
        </span>
      </span>
    </div>
  )
}

/** The parts of a bar that no child covers are solid. */
function drawSelf(c: CanvasRenderingContext2D, t: TraceColumns, r: number, x: (t: number) => number, y: number, w: number, color: string): void {
  c.fillStyle = color
  const end = t.start[r] + t.duration[r]
  let covered = t.start[r]
  let seen = 0
  const piece = (from: number, to: number) => {
    const a = Math.max(0, x(from)), b = Math.min(w, x(to))
    if (b > a && b - a >= .4) c.fillRect(a, y + 6, b - a, rowHeight - 12)
  }
  for (let k = r + 1; k < r + t.size[r] && seen < 2000; k += t.size[k], seen++) {
    if (t.start[k] > covered) piece(covered, Math.min(t.start[k], end))
    covered = Math.max(covered, t.start[k] + t.duration[k])
    if (covered >= end) return
  }
  piece(covered, end)
}

function drawMark(c: CanvasRenderingContext2D, x: number, y: number, color: string): void {
  c.fillStyle = color
  c.beginPath(); c.moveTo(x, y - 4); c.lineTo(x + 4, y + 3); c.lineTo(x - 4, y + 3); c.closePath(); c.fill()
}

/** Finds a row in an ascending list. */
export function indexOf(rows: Int32Array, row: number): number {
  let a = 0, b = rows.length
  while (a < b) { const m = (a + b) >> 1; if (rows[m] < row) a = m + 1; else b = m }
  return rows[a] === row ? a : -1
}

/** Keeps a part within the trace and not too small to be seen. */
export function clampView([a, b]: [number, number], total: number): [number, number] {
  const width = Math.min(total, Math.max(b - a, Math.min(total, 100)))
  const from = Math.max(0, Math.min(a, total - width))
  return [from, from + width]
}

/** Whole moments of a view, about one for each 110 pixels. */
function ticks(view: [number, number], w: number): number[] {
  const width = view[1] - view[0]
  const rough = width / Math.max(1, w / 110)
  const unit = 10 ** Math.floor(Math.log10(Math.max(1, rough)))
  const step = [1, 2, 5, 10].map((k) => k * unit).find((s) => s >= rough) ?? rough
  const out: number[] = []
  for (let t = Math.ceil(view[0] / step) * step; t <= view[1] && out.length < 60; t += step) out.push(t)
  return out
}

function Ruler({ view }: { view: [number, number] }) {
  const canvas = useCanvas((c, w, h, p) => {
    c.font = '11px ' + getComputedStyle(document.body).fontFamily
    c.fillStyle = p.text3
    c.textBaseline = 'middle'
    const width = view[1] - view[0] || 1
    for (const t of ticks(view, w)) {
      const at = (t - view[0]) / width * w
      const text = t === 0 ? '0' : formatDuration(t)
      const tw = c.measureText(text).width
      if (at + tw + 4 < w) c.fillText(text, at + 4, h / 2)
      c.fillRect(Math.round(at), h - 6, 1, 6)
    }
  }, [view[0], view[1]])
  return <div class="ruler-bars"><canvas ref={canvas} aria-hidden="true" /></div>
}

function Resizer() {
  const from = useRef<{ x: number; width: number; whole: number } | undefined>(undefined)
  return (
    <div class="ruler-names">
      <span class="faint">Span</span>
      <div class="resizer" role="separator" aria-orientation="vertical" aria-label="Width of the names" tabIndex={0} aria-valuenow={Math.round(nameWidth.value * 100)} aria-valuemin={15} aria-valuemax={70}
        onKeyDown={(e) => { const d = { ArrowLeft: -.02, ArrowRight: .02 }[e.key]; if (d) { e.preventDefault(); nameWidth.value = Math.max(.15, Math.min(.7, nameWidth.value + d)) } }}
        onPointerDown={(e) => { from.current = { x: e.clientX, width: nameWidth.value, whole: e.currentTarget.parentElement!.parentElement!.clientWidth }; e.currentTarget.setPointerCapture(e.pointerId) }}
        onPointerMove={(e) => { const f = from.current; if (f) nameWidth.value = Math.max(.15, Math.min(.7, f.width + (e.clientX - f.x) / f.whole)) }}
        onPointerUp={() => { from.current = undefined }} />
    </div>
  )
}
