import { useCanvas } from './canvas'

/** A small line of values; its table is the number beside it. */
export function Spark({ values, color }: { values: number[]; color: 'accent' | 'error' }) {
  const canvas = useCanvas((c, w, h, p) => {
    const max = Math.max(1e-9, ...values)
    c.strokeStyle = color === 'error' ? p.error : p.accent
    c.lineWidth = 1.4
    c.beginPath()
    values.forEach((v, i) => { const x = i / Math.max(1, values.length - 1) * (w - 2) + 1, y = h - 2 - v / max * (h - 4); if (i === 0) c.moveTo(x, y); else c.lineTo(x, y) })
    c.stroke()
  }, [values])
  return <canvas ref={canvas} aria-hidden="true" style={{ width: '90px', height: '20px', display: 'block' }} />
}
