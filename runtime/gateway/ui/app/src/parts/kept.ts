// A state of a view that stands in the address. It changes at once and is written when it has rested:
// browsers refuse to change an address many times a second.

import { useEffect, useRef, useState } from 'preact/hooks'
import { params, setParams } from '../router'

export function useKept<T>(name: string, read: (text: string) => T, write: (t: T) => string): [T, (next: T | ((old: T) => T)) => void] {
  const text = params.value[name] ?? ''
  const [state, setState] = useState<T>(() => read(text))
  const written = useRef(text)
  useEffect(() => { if (text !== written.current) { written.current = text; setState(read(text)) } }, [text])
  useEffect(() => {
    const timer = setTimeout(() => {
      const next = write(state)
      if (next === written.current) return
      written.current = next
      setParams({ [name]: next || undefined }, true)
    }, 300)
    return () => clearTimeout(timer)
  }, [state])
  return [state, setState]
}
