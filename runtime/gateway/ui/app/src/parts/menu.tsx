// A menu at a place of the page: one at a time, closed by Escape, by a click elsewhere, or by a choice.

import { signal } from '@preact/signals'
import { useEffect, useRef } from 'preact/hooks'
import type { ComponentChildren } from 'preact'

export interface MenuItem { label: string; run?: () => void; heading?: boolean; checked?: boolean }
interface Open { x: number; y: number; width?: number; items?: (MenuItem | 'line')[]; content?: (close: () => void) => ComponentChildren; from?: HTMLElement }

const open = signal<Open | undefined>(undefined)

/** Opens a menu below the element that was clicked. */
export function openMenu(e: Event, what: { items?: (MenuItem | 'line')[]; content?: (close: () => void) => ComponentChildren }): void {
  const from = e.currentTarget as HTMLElement
  const box = from.getBoundingClientRect()
  e.stopPropagation()
  open.value = { x: box.left, y: box.bottom + 4, ...what, from }
}

export function closeMenu(): void {
  const from = open.value?.from
  open.value = undefined
  from?.focus()
}

export function Menu() {
  const o = open.value
  const ref = useRef<HTMLDivElement>(null)
  useEffect(() => {
    if (!o) return
    const box = ref.current!
    const r = box.getBoundingClientRect()
    box.style.left = `${Math.max(8, Math.min(o.x, innerWidth - r.width - 8))}px`
    box.style.top = `${o.y + r.height > innerHeight - 8 ? Math.max(8, innerHeight - r.height - 8) : o.y}px`
    box.querySelector<HTMLElement>('button, input, select')?.focus()
    const outside = (e: MouseEvent) => { if (!box.contains(e.target as Node)) open.value = undefined }
    const key = (e: KeyboardEvent) => {
      if (e.key === 'Escape') { e.stopPropagation(); closeMenu() }
      if (e.key !== 'ArrowDown' && e.key !== 'ArrowUp') return
      const all = [...box.querySelectorAll<HTMLElement>('button')]
      const i = all.indexOf(document.activeElement as HTMLElement)
      if (i < 0) return
      e.preventDefault()
      all[(i + (e.key === 'ArrowDown' ? 1 : all.length - 1)) % all.length].focus()
    }
    addEventListener('mousedown', outside)
    addEventListener('keydown', key, true)
    return () => { removeEventListener('mousedown', outside); removeEventListener('keydown', key, true) }
  }, [o])
  if (!o) return null
  return (
    <div class="menu" ref={ref} style={{ left: `${o.x}px`, top: `${o.y}px` }} role={o.items ? 'menu' : 'dialog'} aria-label="Choices">
      {o.content?.(closeMenu)}
      {o.items?.map((i, k) => i === 'line' ? <hr key={k} /> : i.heading ? <div class="label" key={k}>{i.label}</div>
        : <button key={k} role="menuitem" onClick={() => { closeMenu(); i.run?.() }}>{i.checked !== undefined && <span aria-hidden="true">{i.checked ? '✓' : '\u2003'}</span>}<span class="cut">{i.label}</span></button>)}
    </div>
  )
}
