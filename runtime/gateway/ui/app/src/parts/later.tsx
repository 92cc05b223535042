import { useEffect, useState } from 'preact/hooks'
import type { FunctionComponent } from 'preact'

/** A part whose scripts are loaded when it is first shown. */
export function later<P extends object>(load: () => Promise<FunctionComponent<P>>): FunctionComponent<P> {
  let known: FunctionComponent<P> | undefined
  return function Later(props: P) {
    const [Part, setPart] = useState<FunctionComponent<P> | undefined>(() => known)
    useEffect(() => { if (!Part) void load().then((p) => { known = p; setPart(() => p) }) }, [])
    return Part ? <Part {...props} /> : <p class="pad faint">Loading …</p>
  }
}
