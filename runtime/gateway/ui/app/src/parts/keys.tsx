// Keys. A screen adds its own while it is shown; single keys do nothing while one types.

import { useEffect, useLayoutEffect, useState } from 'preact/hooks'
import { now } from '../api/client'
import { shiftRange } from '../model/range'
import { go } from '../router'
import { singleKeys } from '../settings'
import { range, setRange } from '../view'
import { screens, share } from './shell'

export interface Key { key: string; name: string; run: (e: KeyboardEvent) => void }

let own: Key[] = []

/** Keys of a screen, while it is shown. */
export function useKeys(keys: Key[]): void {
  useLayoutEffect(() => { own = keys; return () => { if (own === keys) own = [] } })
}

const common: Key[] = [
  { key: '/', name: 'to the query', run: (e) => { const q = document.querySelector<HTMLElement>('.cm-content, #query'); if (q) { e.preventDefault(); q.focus() } } },
  { key: 't', name: 'range of time', run: () => document.getElementById('time')?.click() },
  { key: '[', name: 'earlier', run: () => setRange(shiftRange(range.value, -0.5, now())) },
  { key: ']', name: 'later', run: () => setRange(shiftRange(range.value, 0.5, now())) },
  { key: 's', name: 'share this view', run: () => share() },
  { key: '?', name: 'these keys', run: () => dispatchEvent(new CustomEvent('keys')) },
]

let afterG = 0

addEventListener('keydown', (e) => {
  if (e.ctrlKey || e.metaKey || e.altKey || e.defaultPrevented || !singleKeys.peek()) return
  const t = e.target as HTMLElement
  if (t.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(t.tagName) || document.querySelector('dialog[open], .menu')) return
  if (Date.now() - afterG < 1500) {
    afterG = 0
    const s = screens.peek().find((x) => x.key === e.key)
    if (s) { e.preventDefault(); go(s.path); return }
  }
  if (e.key === 'g') { afterG = Date.now(); return }
  const k = own.find((x) => x.key === e.key) ?? common.find((x) => x.key === e.key)
  if (k) k.run(e)
})

export function Keys() {
  const [shown, setShown] = useState(false)
  useEffect(() => {
    const f = () => setShown(true)
    addEventListener('keys', f)
    return () => removeEventListener('keys', f)
  }, [])
  if (!shown) return null
  const names: Record<string, string> = { ArrowLeft: '←', ArrowRight: '→', ArrowUp: '↑', ArrowDown: '↓', Escape: 'Esc' }
  return (
    <dialog ref={(d) => { if (d && !d.open) d.showModal() }} onClose={() => setShown(false)} aria-label="Keys">
      <h2 style={{ marginBottom: '12px' }}>Keys</h2>
      <div class="keys">
        {[...own, ...common].map((k) => <><kbd key={k.key}>{names[k.key] ?? k.key}</kbd><span>{k.name}</span></>)}
        {screens.value.map((s) => <><span><kbd>g</kbd> <kbd>{s.key}</kbd></span><span>{s.name}</span></>)}
        <kbd>Ctrl Enter</kbd><span>run the query</span>
      </div>
      <form method="dialog" style={{ marginTop: '16px' }}><button>Close</button></form>
    </dialog>
  )
}
