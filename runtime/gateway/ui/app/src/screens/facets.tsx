import { useState } from 'preact/hooks'
import { getJSON, now } from '../api/client'
import { sampleValue, valueText, type SeriesAnswer, type TagNames } from '../api/types'
import { formatCount, showText } from '../model/format'
import { rangeParams } from '../model/range'
import { useAsk } from '../parts/ask'
import { Failure } from '../parts/states'
import { params } from '../router'
import { tagNames } from '../traceql/complete'
import { writeField, writeString } from '../traceql/tokens'
import { range } from '../view'

const usual = ['resource.service.name', 'name', 'status', 'kind', 'statusMessage']

/** Counts by the value of a field, asked for when it is opened. A click narrows the query. */
export function Facets({ query, onChoose }: { query: string; onChoose: (condition: string) => void }) {
  const [open, setOpen] = useState('')
  const names = useAsk<TagNames>(open === '…' ? () => tagNames(rangeParams(range.peek(), now())) : undefined, [open === '…', params.value.tenant])
  const fields = (names.answer?.scopes ?? []).filter((s) => s.name !== 'intrinsic').flatMap((s) => (s.tags ?? []).map((t) => writeField(s.name, t)))
  const [other, setOther] = useState('')
  return (
    <section aria-label="Counts by field" class="facets">
      <span class="faint">Count by</span>
      {usual.map((f) => <button key={f} aria-pressed={open === f} onClick={() => setOpen(open === f ? '' : f)}>{f.replace('resource.', '')}</button>)}
      <button aria-pressed={open === '…' || (open !== '' && !usual.includes(open))} onClick={() => setOpen(open === '…' ? '' : '…')}>attribute …</button>
      {(open === '…' || (open !== '' && !usual.includes(open))) && (
        <form onSubmit={(e) => { e.preventDefault(); if (other.trim()) setOpen(other.trim()) }}>
          <input type="text" list="facet-fields" aria-label="Attribute to count by" placeholder="span.http.route" value={other} autofocus
            onInput={(e) => { setOther(e.currentTarget.value); if (fields.includes(e.currentTarget.value)) setOpen(e.currentTarget.value) }} />
          <datalist id="facet-fields">{fields.map((f) => <option key={f} value={f} />)}</datalist>
        </form>
      )}
      {open && open !== '…' && <Facet query={query} field={open} onChoose={onChoose} />}
    </section>
  )
}

function Facet({ query, field, onChoose }: { query: string; field: string; onChoose: (condition: string) => void }) {
  const r = range.value
  const text = `${query} | count_over_time() by (${field}) | topk(20)`
  const counted = useAsk<SeriesAnswer>((abort) => getJSON('/api/metrics/query', { q: text, ...rangeParams(r, now()) }, abort), [text, r.from, r.to, params.value.tenant])
  if (counted.error) return <div style={{ width: '100%' }}><Failure error={counted.error} retry={counted.again} /></div>
  const rows = (counted.answer?.series ?? []).map((s) => ({ value: s.labels?.[0]?.value, count: sampleValue(s.value) })).sort((a, b) => b.count - a.count)
  const max = Math.max(1, ...rows.map((x) => x.count))
  return (
    <div class={'panel facet' + (counted.busy ? ' dim' : '')}>
      {rows.length === 0 && <span class="faint">{counted.busy ? 'Counting …' : 'No spans'}</span>}
      {rows.map((x, i) => {
        const shown = valueText(x.value)
        const missing = x.value?.stringValue === 'nil' && field !== 'name'
        const literal = x.value?.stringValue === undefined || ['status', 'kind'].includes(field) ? shown : writeString(shown)
        return (
          <button key={i} class="facet-row" title={missing ? `Spans without ${field}` : `Only ${field} = ${shown}`} onClick={() => onChoose(missing ? `${field} = nil` : `${field} = ${literal}`)}>
            <span class="facet-bar" style={{ width: `${100 * x.count / max}%` }} />
            <span class="cut">{missing ? <i>not set</i> : showText(shown) || '""'}</span><span class="number">{formatCount(x.count)}</span>
          </button>
        )
      })}
    </div>
  )
}
