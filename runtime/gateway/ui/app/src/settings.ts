// What belongs to the person and not to the view: theme, zone, recent queries, widths.

import { effect, signal, type Signal } from '@preact/signals'

function keep<T>(name: string, initial: T): Signal<T> {
  let value = initial
  try {
    const stored = localStorage.getItem('troupe.' + name)
    if (stored !== null) value = JSON.parse(stored) as T
  } catch { /* a browser without storage forgets, and that is all */ }
  const s = signal(value)
  let first = true
  effect(() => {
    const v = s.value
    if (first) { first = false; return }
    try { localStorage.setItem('troupe.' + name, JSON.stringify(v)) } catch { /* as above */ }
  })
  return s
}

export type Theme = 'system' | 'light' | 'dark'
export const theme = keep<Theme>('theme', 'system')
export const zone = keep<string>('zone', 'local')
export const recentQueries = keep<string[]>('queries', [])
export const nameWidth = keep<number>('nameWidth', 0.38)
export const singleKeys = keep<boolean>('singleKeys', true)

export function rememberQuery(q: string): void {
  const text = q.trim()
  if (!text || text === '{}') return
  recentQueries.value = [text, ...recentQueries.value.filter((o) => o !== text)].slice(0, 20)
}

export const zoneName = () => zone.value === 'local' ? Intl.DateTimeFormat().resolvedOptions().timeZone : zone.value

effect(() => {
  const root = document.documentElement
  if (theme.value === 'system') root.removeAttribute('data-theme')
  else root.setAttribute('data-theme', theme.value)
})

const dark = matchMedia('(prefers-color-scheme: dark)')
/** Changes when the colours change, for what is drawn on a canvas. */
export const paint = signal(0)
dark.addEventListener('change', () => { paint.value++ })
effect(() => { theme.value; paint.value = paint.peek() + 1 })
