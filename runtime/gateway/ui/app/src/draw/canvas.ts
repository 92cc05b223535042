// A canvas that fills its box, sharp on every screen, drawn anew when its box, its data or the colours change.

import { useEffect, useRef } from 'preact/hooks'
import { paint } from '../settings'
import { readPalette, type Palette } from './colors'

export type Draw = (c: CanvasRenderingContext2D, width: number, height: number, palette: Palette) => void

export function useCanvas(draw: Draw, deps: unknown[]) {
  const ref = useRef<HTMLCanvasElement>(null)
  const colors = paint.value
  const latest = useRef(draw)
  latest.current = draw
  useEffect(() => {
    const canvas = ref.current!
    let frame = 0
    const render = () => {
      frame = 0
      const box = canvas.getBoundingClientRect()
      const ratio = devicePixelRatio || 1
      const w = Math.round(box.width * ratio), h = Math.round(box.height * ratio)
      if (canvas.width !== w || canvas.height !== h) { canvas.width = w; canvas.height = h }
      const c = canvas.getContext('2d')!
      c.setTransform(ratio, 0, 0, ratio, 0, 0)
      c.clearRect(0, 0, box.width, box.height)
      if (box.width > 0) latest.current(c, box.width, box.height, readPalette())
    }
    const ask = () => { frame ||= requestAnimationFrame(render) }
    render()
    const watch = new ResizeObserver(ask)
    watch.observe(canvas)
    return () => { watch.disconnect(); cancelAnimationFrame(frame) }
  }, [colors, ...deps])
  return ref
}
