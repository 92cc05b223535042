// Series as lines, by uPlot, with exemplars as dots. uPlot is used here and nowhere else.

import uPlot from 'uplot'
import 'uplot/dist/uPlot.min.css'
import { useEffect, useRef } from 'preact/hooks'
import { formatNumber } from '../model/format'
import { paint, zone } from '../settings'
import { writeTime } from '../view'
import { readPalette } from './colors'

export interface Line { name: string; values: (number | null)[]; shown: boolean }

/** The colour of the i-th series: neighbours differ most. */
export const seriesColor = (i: number) => `oklch(var(--bar-l) var(--bar-c) ${Math.round(270 + i * 137.5) % 360})`
export interface Dot { time: number; value: number; traceID: string }

/** The time of a tick; the date stands where it changes. */
function writeTick(ms: number, before: number | undefined): string {
  const text = writeTime(ms)
  const time = text.slice(11, ms % 60_000 === 0 ? 16 : 19)
  return before === undefined || writeTime(before).slice(0, 10) !== text.slice(0, 10) ? `${time}\n${text.slice(5, 10)}` : time
}

export function Lines({ times, lines, dots, onRange, onTrace, height = 280 }: {
  times: number[]; lines: Line[]; dots: Dot[]; onRange: (from: number, to: number) => void; onTrace: (id: string) => void; height?: number
}) {
  const box = useRef<HTMLDivElement>(null)
  const latest = useRef({ onRange, onTrace, dots })
  latest.current = { onRange, onTrace, dots }
  useEffect(() => {
    const p = readPalette()
    const date = zone.value === 'local' ? undefined : (ts: number) => uPlot.tzDate(new Date(ts * 1000), zone.value)
    const axis: uPlot.Axis = { stroke: p.text3, grid: { stroke: p.line, width: 1 }, ticks: { stroke: p.line, width: 1 }, font: '11px system-ui' }
    const chart = new uPlot({
      width: box.current!.clientWidth, height,
      tzDate: date,
      legend: { show: false },
      cursor: { drag: { x: true, y: false, setScale: false }, points: { size: 6 } },
      scales: { y: { range: (_u, min, max) => [Math.min(0, min), max <= 0 ? 1 : max * 1.05] } },
      axes: [{ ...axis, values: (_u, v) => v.map((s, i) => writeTick(s * 1000, i > 0 ? v[i - 1] * 1000 : undefined)) }, { ...axis, size: 64, values: (_u, v) => v.map(formatNumber) }],
      series: [{}, ...lines.map((l, i): uPlot.Series => ({ label: l.name, show: l.shown, stroke: p.series(i), width: 1.6, spanGaps: false, points: { show: times.length < 2 } }))],
      hooks: {
        setSelect: [(u) => { if (u.select.width > 4) latest.current.onRange(u.posToVal(u.select.left, 'x') * 1000, u.posToVal(u.select.left + u.select.width, 'x') * 1000) }],
        draw: [(u) => {
          u.ctx.fillStyle = p.panel
          u.ctx.strokeStyle = p.text2
          u.ctx.lineWidth = 1.5 * devicePixelRatio
          for (const d of latest.current.dots) {
            u.ctx.beginPath()
            u.ctx.arc(u.valToPos(d.time / 1000, 'x', true), u.valToPos(d.value, 'y', true), 3 * devicePixelRatio, 0, 7)
            u.ctx.fill(); u.ctx.stroke()
          }
        }],
      },
    }, [times.map((t) => t / 1000), ...lines.map((l) => l.values)], box.current!)
    const click = (e: MouseEvent) => {
      const r = chart.over.getBoundingClientRect()
      const near = latest.current.dots.find((d) => Math.hypot(chart.valToPos(d.time / 1000, 'x') - (e.clientX - r.left), chart.valToPos(d.value, 'y') - (e.clientY - r.top)) < 8)
      if (near) latest.current.onTrace(near.traceID)
    }
    chart.over.addEventListener('click', click)
    const watch = new ResizeObserver(() => { if (box.current) chart.setSize({ width: box.current.clientWidth, height }) })
    watch.observe(box.current!)
    return () => { watch.disconnect(); chart.destroy() }
  }, [times, lines, dots, paint.value, zone.value, height])
  return <div ref={box} aria-hidden="true" style={{ minHeight: `${height}px` }} />
}
