import { useEffect, useState } from 'preact/hooks'
import { getJSON } from '../api/client'
import type { SearchAnswer } from '../api/types'
import { config } from '../api/config'
import { serviceColor } from '../draw/colors'
import { formatCount, formatDuration, formatNanos, formatPercent, showText } from '../model/format'
import { writeValue, type Attribute, type SpanDetail } from '../model/otlp'
import { eachStretch, kinds, nameOf, selfTime, serviceOf, spanID, statuses } from '../model/trace'
import type { Opened, TraceHandle } from '../model/tracehandle'
import { copyText } from '../parts/copy'
import { openMenu } from '../parts/menu'
import { Failure } from '../parts/states'
import { addressOf, go, setParams } from '../router'
import { zone } from '../settings'
import { writeCondition } from '../traceql/form'
import { writeField } from '../traceql/tokens'
import { absoluteRange } from '../model/range'

/** Everything that one span says. */
export function SpanPanel({ opened, handle, row, onSelect, onClose, onZoom }: { opened: Opened; handle: TraceHandle; row: number; onSelect: (row: number) => void; onClose: () => void; onZoom: () => void }) {
  const t = opened.columns
  const [d, setDetail] = useState<SpanDetail | undefined>()
  const [error, setError] = useState<Error | undefined>()
  const [turn, setTurn] = useState(0)
  useEffect(() => {
    let gone = false
    setError(undefined)
    handle.details([row]).then(([x]) => { if (!gone) { if (x) setDetail(x); else setError(new Error('The node no longer has this span.')) } }, (e: Error) => { if (!gone) setError(e) })
    return () => { gone = true }
  }, [row, handle, turn])
  const service = serviceOf(t, row)
  const self = selfTime(t, row)
  let onPath = 0
  eachStretch(opened.path, row, (from, to) => { onPath += to - from })
  const children: number[] = []
  for (let c = row + 1; c < row + t.size[row] && children.length < 50; c += t.size[c]) children.push(c)
  if (error) return <aside class="span-panel" aria-label="Span"><div class="pad"><Failure error={error} retry={() => setTurn((n) => n + 1)} /><div><button onClick={onClose}>Close</button></div></div></aside>
  if (!d || d.id !== spanID(t, row)) return <aside class="span-panel" aria-label="Span"><p class="pad faint">Reading the span …</p></aside>
  return (
    <aside class="span-panel" aria-label="Span">
      <div class="pad">
        <div class="spread" style={{ flexWrap: 'nowrap', alignItems: 'flex-start' }}>
          <div style={{ minWidth: 0 }}>
            <h2 style={{ overflowWrap: 'anywhere' }}>{showText(d.name) || <i>no name</i>}</h2>
            <div class="muted row"><span class="dot" style={{ background: serviceColor(service) }} />{showText(service)} · {kinds[d.kind] ?? d.kind}</div>
          </div>
          <div class="row" style={{ flexWrap: 'nowrap', gap: '2px' }}>
            <button class="plain icon" title="Zoom to the span ( z )" aria-label="Zoom to the span" onClick={onZoom}>⤢</button>
            <button class="plain icon" title="Close ( Esc )" aria-label="Close" onClick={onClose}>✕</button>
          </div>
        </div>
        {d.status === 2 && <div class="notice error"><div><strong>Error</strong>{d.message && <pre style={{ marginTop: '3px' }}>{d.message}</pre>}</div></div>}
        <dl class="facts" style={{ margin: 0 }}>
          <dt>Duration</dt><dd><strong>{formatDuration(t.duration[row])}</strong> <span class="muted">{t.total > 0 && `${formatPercent(t.duration[row] / t.total)} of the trace`}</span></dd>
          <dt>Self</dt><dd>{formatDuration(self)} <span class="muted">not covered by children</span></dd>
          {onPath > 0 && <><dt>Critical path</dt><dd>{formatDuration(onPath)} <span class="muted">{formatPercent(onPath / Math.max(1, t.total))} of the trace</span></dd></>}
          <dt>Start</dt><dd class="mono">{formatNanos(d.start, zone.value)} <span class="muted">+{formatDuration(t.start[row])}</span></dd>
          <dt>Status</dt><dd>{statuses[d.status] ?? d.status}{d.status !== 2 && d.message && `: ${d.message}`}</dd>
          <dt>Span id</dt><dd><button class="plain mono" style={{ padding: 0, minHeight: '24px' }} title="Copy" onClick={() => copyText(d.id)}>{d.id}</button></dd>
          <dt>Parent</dt><dd>{t.parent[row] >= 0 ? <a href="#" onClick={(e) => { e.preventDefault(); onSelect(t.parent[row]) }}>{showText(nameOf(t, t.parent[row]))}</a> : d.parentID ? <span class="mono">{d.parentID} (not received)</span> : 'none: this is a root'}</dd>
          {d.state && <><dt>Trace state</dt><dd class="mono">{showText(d.state)}</dd></>}
        </dl>
        <Links d={d} />
        <Attributes title="Attributes" scope="span" list={d.attributes} opened={opened} open dropped={d.dropped} />
        <Events d={d} opened={opened} />
        <Attributes title="Resource" scope="resource" list={d.resource} opened={opened} open />
        <Attributes title={`Scope ${d.scope.name} ${d.scope.version}`.trim()} scope="instrumentation" list={d.scope.attributes} opened={opened} />
        {d.links.length > 0 && <section><h3>Links</h3>{d.links.map((l, i) => (
          <div key={i} style={{ padding: '3px 0' }}><a class="mono" href={addressOf(`trace/${l.traceID}`, { span: l.spanID })}>{l.traceID === d.traceID ? `span ${l.spanID} of this trace` : l.traceID}</a>
            {l.attributes.length > 0 && <Attributes title="Attributes of the link" scope="link" list={l.attributes} opened={opened} />}</div>
        ))}{d.droppedLinks > 0 && <p class="faint">{d.droppedLinks} more were dropped by the sender.</p>}</section>}
        {children.length > 0 && <details><summary>{formatCount(children.length)}{children.length === 50 && ' and more'} children</summary>{children.map((c) => (
          <div key={c} class="spread" style={{ flexWrap: 'nowrap' }}><a class="cut" href="#" onClick={(e) => { e.preventDefault(); onSelect(c) }}>{showText(nameOf(t, c))}</a><span class="number muted">{formatDuration(t.duration[c])}</span></div>
        ))}</details>}
        <Incoming id={d.id} time={Number(d.start / 1_000_000n)} />
      </div>
    </aside>
  )
}

/** Spans elsewhere that link to this one; looked for when they are asked for. */
function Incoming({ id, time }: { id: string; time: number }) {
  const [found, setFound] = useState<SearchAnswer | string | undefined>()
  useEffect(() => setFound(undefined), [id])
  const q = `{ link:spanID = "${id}" }`
  if (found === undefined) {
    return <div><button class="plain" style={{ paddingLeft: 0 }} onClick={() => {
      setFound('Looking …')
      getJSON<SearchAnswer>('/api/search', { q, limit: 20, start: Math.floor(time / 1000) - 3600, end: Math.ceil(time / 1000) + 86_400 }).then(setFound, (e: Error) => setFound(e.message))
    }}>Who links to this span?</button></div>
  }
  if (typeof found === 'string') return <p class="faint">{found}</p>
  return <section><h3>Links to this span</h3>{found.traces.length === 0 ? <p class="faint">None within a day after it.</p> : found.traces.map((x) => <div key={x.traceID}><a href={addressOf(`trace/${x.traceID.padStart(32, '0')}`)}>{showText(x.rootServiceName ?? '')}: {showText(x.rootTraceName ?? '')}</a></div>)}</section>
}

function Links({ d }: { d: SpanDetail }) {
  const values: Record<string, string> = { traceId: d.traceID, spanId: d.id, service: '', name: d.name, start: String(d.start), end: String(d.end) }
  for (const a of d.resource) { values[`resource.${a.key}`] = writeValue(a.value); if (a.key === 'service.name') values.service = writeValue(a.value) }
  for (const a of d.attributes) values[`span.${a.key}`] = writeValue(a.value)
  const list = config.value.links.flatMap((l) => {
    let whole = true
    const url = l.url.replace(/\{([^}]+)\}/g, (_, k: string) => { if (!(k in values)) whole = false; return encodeURIComponent(values[k] ?? '') })
    return whole && /^https?:\/\//.test(url) ? [{ name: l.name, url }] : []
  })
  if (list.length === 0) return null
  return <div class="row">{list.map((l) => <a key={l.name} class="button" href={l.url} target="_blank" rel="noopener noreferrer">{l.name} ↗</a>)}</div>
}

function Attributes({ title, scope, list, opened, open = false, dropped = 0 }: { title: string; scope: string; list: Attribute[]; opened: Opened; open?: boolean; dropped?: number }) {
  if (list.length === 0 && dropped === 0) return title === 'Attributes' ? <p class="faint">This span has no attributes.</p> : null
  const sorted = [...list].sort((a, b) => (a.key < b.key ? -1 : 1))
  return (
    <details open={open}>
      <summary>{title} <span class="faint">{list.length}</span></summary>
      <table class="attributes"><tbody>{sorted.slice(0, 500).map((a, i) => <tr key={i}><td>{showText(a.key)}</td><td><ValueCell scope={scope} a={a} opened={opened} /></td></tr>)}</tbody></table>
      {sorted.length > 500 && <p class="faint">{formatCount(sorted.length - 500)} more are in the downloaded trace.</p>}
      {dropped > 0 && <p class="faint">{dropped} more were dropped by the sender.</p>}
    </details>
  )
}

const folded = 4096

/** A value with a menu: what one does with a value is to look for it elsewhere. */
export function ValueCell({ scope, a, opened }: { scope: string; a: Attribute; opened: Opened }) {
  const [whole, setWhole] = useState(false)
  const text = writeValue(a.value)
  const field = writeField(scope, a.key)
  const simple = typeof a.value === 'string' || typeof a.value === 'number' || typeof a.value === 'boolean' || typeof a.value === 'bigint'
  const quoted = typeof a.value === 'string' ? `${field} = ${JSON.stringify(a.value)}` : writeCondition({ field, op: '=', value: text })
  const around = (): Record<string, string> => { const ms = Number(opened.columns.origin / 1_000_000n); const r = absoluteRange(ms - 1_800_000, ms + 1_800_000); return { from: r.from, to: r.to } }
  const shown = whole || text.length <= folded ? text : text.slice(0, folded)
  return (
    <>
      <button class="value" onClick={(e) => openMenu(e, {
        items: [
          { label: showText(text.slice(0, 60)), heading: true },
          ...(simple && text.length < 2000 ? [
            { label: 'Mark spans with this value', run: () => setParams({ f: `{ ${quoted} }`, fm: undefined }, true) },
            { label: 'Search for it', run: () => go('search', { q: `{ ${quoted} }`, ...around() }) },
            { label: 'Search for everything else', run: () => go('search', { q: `{ ${field} != nil && !(${quoted}) }`, ...around() }) },
            { label: 'Rate by this attribute', run: () => go('search', { q: `{ } | rate() by (${field})`, ...around() }) },
            'line' as const,
          ] : []),
          { label: 'Copy the value', run: () => copyText(text) },
          { label: 'Copy as a condition', run: () => copyText(quoted) },
        ],
      })}>{shown.includes('\n') ? shown : showText(shown)}</button>
      {text.length > folded && <button class="plain" onClick={() => setWhole(!whole)}>{whole ? 'Fold' : `Show all ${formatCount(text.length)} characters`}</button>}
    </>
  )
}

function Events({ d, opened }: { d: SpanDetail; opened: Opened }) {
  if (d.events.length === 0) return d.droppedEvents > 0 ? <p class="faint">{d.droppedEvents} events were dropped by the sender.</p> : null
  return (
    <details open>
      <summary>Events <span class="faint">{d.events.length}</span></summary>
      {d.events.slice(0, 200).map((e, i) => {
        const stack = e.attributes.find((a) => a.key === 'exception.stacktrace')
        const rest = e.attributes.filter((a) => a !== stack)
        return (
          <div key={i} style={{ padding: '4px 0 8px', borderBottom: '1px solid var(--line)' }}>
            <div class="spread"><strong style={{ overflowWrap: 'anywhere' }}>{showText(e.name)}</strong><span class="muted mono">+{formatDuration(Number(e.time - d.start))}</span></div>
            {rest.length > 0 && <table class="attributes"><tbody>{rest.map((a, k) => <tr key={k}><td>{showText(a.key)}</td><td><ValueCell scope="event" a={a} opened={opened} /></td></tr>)}</tbody></table>}
            {stack && <details><summary>Stack trace</summary><pre class="mono">{writeValue(stack.value)}</pre></details>}
          </div>
        )
      })}
      {d.events.length > 200 && <p class="faint">{formatCount(d.events.length - 200)} more</p>}
    </details>
  )
}
