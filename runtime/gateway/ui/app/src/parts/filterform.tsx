import { useEffect, useId, useState } from 'preact/hooks'
import { tagValues } from '../traceql/complete'
import { readConditions, setCondition, type Condition } from '../traceql/form'

/** The usual conditions of a query as fields, for queries that it can write back; else it is out of use. */
export function FilterForm({ query, time, onChange }: { query: string; time: () => Record<string, string>; onChange: (q: string) => void }) {
  const readable = readConditions(query)
  const list = readable ?? []
  const valueOf = (field: string, op?: string) => list.find((c) => c.field === field && (!op || c.op.startsWith(op)))?.value ?? ''
  const set = (c: Condition) => { const next = setCondition(query, c); if (next !== query) onChange(next) }
  return (
    <fieldset class="form" aria-label="Filter" disabled={!readable} title={readable ? undefined : 'This query says more than these fields can show'}>
      <Suggested label="Service" field="resource.service.name" value={valueOf('resource.service.name')} query={query} time={time} onSet={(v) => set({ field: 'resource.service.name', op: '=', value: v })} />
      <Suggested label="Operation" field="name" value={valueOf('name')} query={query} time={time} onSet={(v) => set({ field: 'name', op: '=', value: v })} />
      <label>Status
        <select value={valueOf('status')} onChange={(e) => set({ field: 'status', op: '=', value: e.currentTarget.value })}>
          <option value="">any</option><option>error</option><option>ok</option><option>unset</option>
        </select>
      </label>
      <Typed label="Duration ≥" value={valueOf('duration', '>')} placeholder="100ms" check={/^[0-9.]+(ns|us|µs|ms|s|m|h)([0-9.]+(ms|s|m))*$/} onSet={(v) => set({ field: 'duration', op: '>=', value: v })} />
      <Typed label="Duration ≤" value={valueOf('duration', '<')} placeholder="2s" check={/^[0-9.]+(ns|us|µs|ms|s|m|h)([0-9.]+(ms|s|m))*$/} onSet={(v) => set({ field: 'duration', op: '<=', value: v })} />
    </fieldset>
  )
}

function Suggested({ label, field, value, query, time, onSet }: { label: string; field: string; value: string; query: string; time: () => Record<string, string>; onSet: (v: string) => void }) {
  const [text, setText] = useState(value)
  const [choices, setChoices] = useState<string[]>([])
  const id = useId()
  useEffect(() => setText(value), [value])
  const load = () => {
    const rest = setCondition(query, { field, op: '=', value: '' })
    tagValues(field, { ...time(), q: rest }).then((v) => setChoices(v.tagValues.map((x) => x.value ?? '').filter(Boolean).sort()), () => setChoices([]))
  }
  return (
    <label>{label}
      <input type="text" list={id} value={text} placeholder="any" onFocus={load}
        onInput={(e) => { setText(e.currentTarget.value); if (choices.includes(e.currentTarget.value)) onSet(e.currentTarget.value) }}
        onChange={(e) => onSet(e.currentTarget.value.trim())} onKeyDown={(e) => { if (e.key === 'Enter') onSet(e.currentTarget.value.trim()) }} />
      <datalist id={id}>{choices.map((c) => <option key={c} value={c} />)}</datalist>
    </label>
  )
}

function Typed({ label, value, placeholder, check, onSet }: { label: string; value: string; placeholder: string; check: RegExp; onSet: (v: string) => void }) {
  const [text, setText] = useState(value)
  useEffect(() => setText(value), [value])
  const wrong = text !== '' && !check.test(text.trim())
  const done = (v: string) => { if (v === '' || check.test(v)) onSet(v) }
  return (
    <label>{label}
      <input type="text" style={{ width: '80px' }} value={text} placeholder={placeholder} aria-invalid={wrong} title={wrong ? 'Write a number with a unit, such as 250ms' : undefined}
        onInput={(e) => setText(e.currentTarget.value)} onChange={(e) => done(e.currentTarget.value.trim())} onKeyDown={(e) => { if (e.key === 'Enter') done(e.currentTarget.value.trim()) }} />
    </label>
  )
}
