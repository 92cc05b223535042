// A question that follows its inputs: it is asked when they change, the old one is aborted, and what
// was known stays to be shown, dimmed, until the new answer is there.

import { useEffect, useRef, useState } from 'preact/hooks'
import { aborted } from '../api/client'

export interface Asked<T> { answer?: T; error?: Error; busy: boolean; again: () => void; cancel: () => void }

export function useAsk<T>(ask: ((abort: AbortSignal, progress: (t: T) => void) => Promise<T>) | undefined, deps: unknown[]): Asked<T> {
  const [state, setState] = useState<{ answer?: T; error?: Error; busy: boolean }>({ busy: ask !== undefined })
  const [turn, setTurn] = useState(0)
  const running = useRef<AbortController | undefined>(undefined)
  useEffect(() => {
    running.current?.abort()
    if (!ask) { setState({ busy: false }); return }
    const c = running.current = new AbortController()
    setState((s) => ({ answer: s.answer, busy: true }))
    let frame = 0, next: T | undefined
    const progress = (t: T) => {
      next = t
      frame ||= requestAnimationFrame(() => { frame = 0; if (!c.signal.aborted && next !== undefined) setState({ answer: next, busy: true }) })
    }
    ask(c.signal, progress).then(
      (answer) => { cancelAnimationFrame(frame); if (!c.signal.aborted) setState({ answer, busy: false }) },
      (err: Error) => { cancelAnimationFrame(frame); if (!c.signal.aborted && !aborted(err)) setState((s) => ({ answer: s.busy ? undefined : s.answer, error: err, busy: false })) })
    return () => { cancelAnimationFrame(frame); c.abort() }
  }, [...deps, turn])
  return {
    ...state,
    again: () => setTurn((t) => t + 1),
    cancel: () => { running.current?.abort(); setState((s) => ({ ...s, busy: false })) },
  }
}
