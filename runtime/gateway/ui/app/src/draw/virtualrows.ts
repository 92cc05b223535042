// Many rows of one height of which only those in sight are drawn. A million rows are taller than
// browsers scroll, so above a height the scroll bar is a scale.

import { useLayoutEffect, useRef, useState } from 'preact/hooks'

const tallest = 8_000_000

export interface VirtualRows {
  /** For the element that scrolls, and its content, as high as content says. */
  ref: preact.RefObject<HTMLDivElement | null>
  onScroll: (e: { currentTarget: HTMLElement }) => void
  height: number
  content: number
  /** The first row in sight, how many there are, and by how many pixels the first is moved. */
  first: number
  shown: number
  offset: number
  /** Brings a row into sight if it is not. */
  reveal: (row: number) => void
}

export function useVirtualRows(count: number, rowHeight: number): VirtualRows {
  const ref = useRef<HTMLDivElement>(null)
  const [top, setTop] = useState(0)
  const [height, setHeight] = useState(600)
  const visible = Math.max(1, Math.floor(height / rowHeight))
  const full = count * rowHeight
  const content = Math.min(full, tallest)
  const span = Math.max(1, content - height), most = Math.max(0, count - visible)
  const exact = full <= tallest
  const position = exact ? top / rowHeight : top / span * most
  const first = Math.max(0, Math.min(count - 1, Math.floor(position)))
  useLayoutEffect(() => {
    const s = ref.current!
    const watch = new ResizeObserver(() => setHeight(s.clientHeight))
    watch.observe(s)
    setHeight(s.clientHeight)
    return () => watch.disconnect()
  }, [])
  return {
    ref, height, content, first,
    shown: Math.min(count - first, visible + 2),
    offset: exact ? first * rowHeight - top : 0,
    onScroll: (e) => setTop(e.currentTarget.scrollTop),
    reveal: (row) => {
      if (row < 0 || (row >= position + 1 && row < position + visible - 1)) return
      const target = Math.max(0, row - Math.floor(visible / 3))
      ref.current!.scrollTop = exact ? target * rowHeight : target / Math.max(1, most) * span
    },
  }
}
