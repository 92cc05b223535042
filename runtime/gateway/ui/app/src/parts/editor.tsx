// The field for a query. A plain text field stands there at once; CodeMirror takes its place when it
// has been loaded, and does the same with colours and completion.

import { useEffect, useRef } from 'preact/hooks'
import { getJSON } from '../api/client'
import { config } from '../api/config'
import type { EditorHandle } from './codemirror'

/** value is what stands there when it changes from outside; what is typed is told by onChange and does not come back. */
export interface EditorProps { value: string; onChange: (q: string) => void; onRun: (q: string) => void; time: () => Record<string, string>; error?: { line: number; column: number; message: string }; label?: string; hint?: string }

export function Editor(props: EditorProps) {
  const box = useRef<HTMLDivElement>(null)
  const plain = useRef<HTMLTextAreaElement>(null)
  const handle = useRef<EditorHandle | undefined>(undefined)
  const latest = useRef(props)
  latest.current = props
  useEffect(() => {
    let gone = false
    void import('./codemirror').then((m) => {
      if (gone || !box.current) return
      const field = plain.current!
      const focused = document.activeElement === field
      handle.current = m.createEditor(box.current, {
        value: field.value,
        label: latest.current.label ?? 'Query in TraceQL',
        hint: latest.current.hint ?? '{ }   all spans — type { to begin',
        onChange: (q) => latest.current.onChange(q),
        onRun: (q) => latest.current.onRun(q),
        time: () => latest.current.time(),
        check: config.value.features.includes('check') ? async (q) => (await getJSON<{ errors: { line: number; column: number; message: string }[] }>('/api/check', { q })).errors : undefined,
      })
      field.hidden = true
      if (focused) handle.current.focus()
      performance.mark('editor')
    })
    return () => { gone = true; handle.current?.destroy(); handle.current = undefined }
  }, [])
  useEffect(() => { handle.current?.setValue(props.value); if (plain.current) plain.current.value = props.value }, [props.value])
  useEffect(() => { handle.current?.setError(props.error) }, [props.error?.line, props.error?.column, props.error?.message])
  return (
    <div class="editor" ref={box}>
      <textarea id="query" ref={plain} class="mono" rows={1} spellcheck={false} aria-label={props.label ?? 'Query in TraceQL'} defaultValue={props.value}
        onInput={(e) => props.onChange(e.currentTarget.value)}
        onKeyDown={(e) => { if (e.key === 'Enter' && !e.shiftKey) { e.preventDefault(); props.onRun(e.currentTarget.value) } }} />
    </div>
  )
}

/** Finds "line L, col C" in a message of the server. */
export function errorPlace(message: string): { line: number; column: number; message: string } | undefined {
  const m = /line (\d+), col(?:umn)? (\d+)/.exec(message)
  return m ? { line: Number(m[1]), column: Number(m[2]), message } : undefined
}
