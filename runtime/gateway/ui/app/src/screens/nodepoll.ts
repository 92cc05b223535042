import { useEffect } from 'preact/hooks'
import { useAsk } from '../parts/ask'
import { params } from '../router'

/** Asks again every two seconds while the page is seen. */
export function usePoll<T>(ask: (abort: AbortSignal) => Promise<T>) {
  const asked = useAsk<T>(ask, [params.value.tenant])
  useEffect(() => { const t = setInterval(() => { if (!document.hidden) asked.again() }, 2000); return () => clearInterval(t) }, [])
  return asked
}
