import { useEffect, useMemo, useRef, useState } from 'preact/hooks'
import { aborted, getBytes } from '../api/client'
import { config } from '../api/config'
import { serviceColor } from '../draw/colors'
import { Flame } from '../draw/flame'
import { Minimap } from '../draw/minimap'
import { clampView, indexOf, Waterfall } from '../draw/waterfall'
import { formatBytes, formatCount, formatDuration, formatTime, showText } from '../model/format'
import { TraceBuffer } from '../model/otlp'
import { findSpan, spanID, statusError, type TraceColumns } from '../model/trace'
import { TraceHandle } from '../model/tracehandle'
import type { Opened } from '../model/traceworker'
import { copyText, notify } from '../parts/copy'
import { useKeys } from '../parts/keys'
import { openMenu } from '../parts/menu'
import { Empty, Failure, Incomplete, Progress } from '../parts/states'
import { addressOf, params, place, setParams } from '../router'
import { zone } from '../settings'
import { SpanPanel } from './spanpanel'
import { EventsTable, NamesTable, PathTable } from './tracetables'

interface Loaded { handle: TraceHandle; opened: Opened; bytes: number }

export function TraceScreen() {
  const id = (place.value.path[1] ?? '').toLowerCase()
  const [loaded, setLoaded] = useState<Loaded | undefined>()
  const [error, setError] = useState<Error | undefined>()
  const [busy, setBusy] = useState(true)
  const [turn, setTurn] = useState(0)
  useEffect(() => {
    const abort = new AbortController()
    const handle = new TraceHandle()
    setBusy(true); setError(undefined); setLoaded(undefined)
    getBytes(`/api/v2/traces/${encodeURIComponent(id)}`, {}, abort.signal).then(async (bytes) => {
      performance.mark('answer')
      const size = bytes.byteLength
      const opened = await handle.open(bytes)
      performance.mark('model')
      if (!abort.signal.aborted) { setLoaded({ handle, opened, bytes: size }); setBusy(false) }
    }).catch((err: Error) => { if (!aborted(err)) { setError(err); setBusy(false) } })
    return () => { abort.abort(); handle.close() }
  }, [id, params.value.tenant, turn])
  useEffect(() => { document.title = loaded ? `${rootTitle(loaded.opened)} – ${config.value.title}` : config.value.title }, [loaded])

  if (error) return <div class="pad"><Failure error={error} retry={() => setTurn((t) => t + 1)} path={`/api/v2/traces/${id}`} /></div>
  if (busy || !loaded) return <div><Progress active /><p class="pad faint">Opening trace {id} …</p></div>
  if (loaded.opened.columns.count === 0) {
    return (
      <div class="pad"><Incomplete answer={lacks(loaded.opened.columns)} />
        <Empty title="There is no trace with this id">
          <p class="mono">{id}</p>
          <p>It may not have been sent, may have been sent to another tenant, or its id may be cut short.</p>
          <div class="row"><button onClick={() => setTurn((t) => t + 1)}>Look again</button><a class="button" href={addressOf('search')}>Search</a></div>
        </Empty>
      </div>
    )
  }
  return <TraceView key={id} id={id} {...loaded} />
}

/** What the answer said of its completeness. */
const lacks = (t: TraceColumns) => ({ complete: t.complete, warnings: t.warnings, message: t.message })

export function rootTitle({ columns: t, root }: Opened): string {
  return root >= 0 ? `${t.services[t.service[root]]}: ${t.names[t.name[root]]}` : t.count > 0 ? `root span not yet received (${t.services[t.service[0]]})` : 'no spans'
}

const views = [['waterfall', 'Waterfall'], ['flame', 'Flame'], ['path', 'Critical path'], ['table', 'Operations'], ['events', 'Events']] as const

/** An opened trace: of the node, or of a file. */
export function TraceView({ id, handle, opened, bytes, local = false }: Loaded & { id: string; local?: boolean }) {
  const t = opened.columns
  const [view, setView] = useState<[number, number]>([0, t.total])
  const [collapsed, setCollapsed] = useState<Set<number>>(new Set())
  const chosen = useMemo(() => (params.value.span ? findSpan(t, params.value.span) : -1), [params.value.span, t])
  const [goTo, setGoTo] = useState({ row: chosen, turn: 0 })
  const filter = params.value.f ?? ''
  const only = params.value.fm === 'only'
  const { matches, count, failure } = useMatches(local ? '' : id, handle, t, filter)
  const showPath = params.value.path !== 'off'
  const panel = chosen >= 0
  useEffect(() => { performance.mark('drawn') }, [])

  const rows = useMemo(() => {
    const out = new Int32Array(t.count)
    let n = 0
    let keep: Uint8Array | undefined
    if (only && matches) {
      keep = new Uint8Array(t.count)
      for (let r = 0; r < t.count; r++) if (matches[r]) for (let p = r; p >= 0 && !keep[p]; p = t.parent[p]) keep[p] = 1
    }
    for (let r = 0; r < t.count;) {
      if (!keep || keep[r]) out[n++] = r
      r += collapsed.has(r) ? t.size[r] : 1
    }
    return out.subarray(0, n)
  }, [t, collapsed, only, matches])

  const select = (row: number, follow = false) => {
    if (row < 0) { setParams({ span: undefined }, true); return }
    if (indexOf(rows, row) < 0) setCollapsed((c) => { const next = new Set(c); for (let p = t.parent[row]; p >= 0; p = t.parent[p]) next.delete(p); return next })
    setParams({ span: spanID(t, row) }, true)
    if (follow) setGoTo((g) => ({ row, turn: g.turn + 1 }))
  }
  const toggle = (row: number) => setCollapsed((c) => { const next = new Set(c); if (!next.delete(row)) next.add(row); return next })
  const step = (d: number, fits: (row: number) => boolean = () => true) => {
    let i = indexOf(rows, chosen)
    for (i += d; i >= 0 && i < rows.length; i += d) if (fits(rows[i])) { select(rows[i], true); return }
  }
  const any = (d: number, fits: (row: number) => boolean, name: string) => {
    for (let k = 1; k <= t.count; k++) {
      const r = ((((chosen < 0 ? (d > 0 ? -1 : t.count) : chosen) + d * k) % t.count) + t.count) % t.count
      if (fits(r)) { select(r, true); return }
    }
    notify(`No ${name}`)
  }
  const pathRows = useMemo(() => new Set(opened.path.map((s) => s.row)), [opened])
  const zoomTo = (row: number) => { const pad = t.duration[row] * .04 + 1; setView(clampView([t.start[row] - pad, t.start[row] + t.duration[row] + pad], t.total)) }
  const scale = (f: number, shift = 0) => setView((v) => { const w = v[1] - v[0], m = (v[0] + v[1]) / 2 + shift * w; return clampView([m - w * f / 2, m + w * f / 2], t.total) })
  const closeLevel = () => {
    const list = new Set(collapsed)
    let deepest = 0
    for (const r of rows) if (t.size[r] > 1 && !collapsed.has(r)) deepest = Math.max(deepest, t.depth[r])
    for (const r of rows) if (t.size[r] > 1 && t.depth[r] === deepest) list.add(r)
    setCollapsed(list)
  }
  useKeys([
    { key: 'ArrowDown', name: 'next span', run: (e) => { e.preventDefault(); step(1) } }, { key: 'ArrowUp', name: 'span before', run: (e) => { e.preventDefault(); step(-1) } },
    { key: 'j', name: 'next span', run: () => step(1) }, { key: 'k', name: 'span before', run: () => step(-1) },
    { key: 'ArrowLeft', name: 'close, or to the parent', run: (e) => { e.preventDefault(); if (chosen >= 0 && t.size[chosen] > 1 && !collapsed.has(chosen)) toggle(chosen); else if (chosen >= 0 && t.parent[chosen] >= 0) select(t.parent[chosen], true) } },
    { key: 'ArrowRight', name: 'open, or to the first child', run: (e) => { e.preventDefault(); if (chosen >= 0 && collapsed.has(chosen)) toggle(chosen); else if (chosen >= 0 && t.size[chosen] > 1) select(chosen + 1, true) } },
    { key: 'u', name: 'to the parent', run: () => { if (chosen >= 0 && t.parent[chosen] >= 0) select(t.parent[chosen], true) } },
    { key: 'e', name: 'next error', run: () => any(1, (r) => t.status[r] === statusError, 'errors') }, { key: 'E', name: 'error before', run: () => any(-1, (r) => t.status[r] === statusError, 'errors') },
    { key: 'c', name: 'next on the critical path', run: () => any(1, (r) => pathRows.has(r), 'critical path') }, { key: 'C', name: 'before on the critical path', run: () => any(-1, (r) => pathRows.has(r), 'critical path') },
    { key: 'n', name: 'next match', run: () => any(1, (r) => matches?.[r] === 1, 'matches') }, { key: 'N', name: 'match before', run: () => any(-1, (r) => matches?.[r] === 1, 'matches') },
    { key: 'z', name: 'zoom to the span', run: () => { if (chosen >= 0) zoomTo(chosen) } }, { key: '0', name: 'all of the trace', run: () => setView([0, t.total]) },
    { key: 'w', name: 'zoom in', run: () => scale(.7) }, { key: 'd', name: 'pan right', run: () => scale(1, .2) }, { key: 'a', name: 'pan left', run: () => scale(1, -.2) },
    ...views.map(([v, name], i) => ({ key: String(i + 1), name, run: () => setParams({ view: v === 'waterfall' ? undefined : v }, true) })),
    { key: 'Escape', name: 'close the span', run: () => select(-1) },
  ])

  const { errors, depth } = opened
  const current = views.find(([v]) => v === params.value.view)?.[0] ?? 'waterfall'
  const started = Number(t.origin / 1000n) / 1000

  return (
    <div class={panel ? 'trace with-panel' : 'trace'}>
      <div class="trace-head">
        <div class="spread">
          <div style={{ minWidth: 0 }}>
            <h1 class="cut">{opened.root >= 0
              ? <><span class="dot" style={{ background: serviceColor(t.services[t.service[opened.root]]) }} /> {showText(t.services[t.service[opened.root]])}: {showText(t.names[t.name[opened.root]])}</>
              : <span class="muted">root span not yet received</span>}</h1>
            <div class="chips muted" style={{ marginTop: '3px' }}>
              <span>{formatTime(started, zone.value)}</span>·<strong>{formatDuration(t.total)}</strong>·<span>{formatCount(t.count)} spans</span>·
              <span>{formatCount(opened.services)} {opened.services === 1 ? 'service' : 'services'}</span>·<span>depth {depth}</span>
              {errors > 0 && <button class="pill error" style={{ minHeight: '24px' }} onClick={() => any(1, (r) => t.status[r] === statusError, 'errors')}>{formatCount(errors)} {errors === 1 ? 'error' : 'errors'}</button>}
              {t.odd.orphans > 0 && <span class="pill" title="Spans whose parent has not been received">{formatCount(t.odd.orphans)} without their parent</span>}
              {t.odd.cycles + t.odd.duplicates + t.odd.negative > 0 && <span class="pill" title={`${t.odd.duplicates} ids that came twice, ${t.odd.cycles} cycles of parents, ${t.odd.negative} spans that end before they start`}>odd</span>}
              <button class="plain mono" style={{ minHeight: '24px', padding: '0 4px' }} title="Copy the trace id" onClick={() => copyText(id)}>{id}</button>
            </div>
          </div>
          <div class="row">
            <div class="tabs" role="group" aria-label="View">
              {views.map(([v, name]) => <button key={v} aria-pressed={current === v} onClick={() => setParams({ view: v === 'waterfall' ? undefined : v }, true)}>{name}</button>)}
            </div>
            {!local && <button onClick={(e) => openMenu(e, {
              items: [
                { label: 'Download as OTLP JSON', run: () => void download(id, 'json') },
                { label: `Download as OTLP protobuf (${formatBytes(bytes)})`, run: () => void download(id, 'pb') },
                'line',
                { label: 'Copy troupectl command', run: () => copyText(`troupectl trace ${id}`) },
                ...config.value.links.filter((l) => /^https?:/.test(l.url) && !/\{span/.test(l.url)).map((l) => ({ label: l.name, run: () => { open(l.url.replace('{traceId}', encodeURIComponent(id)), '_blank', 'noopener') } })),
              ],
            })}>More …</button>}
          </div>
        </div>
        <Incomplete answer={lacks(t)} />
        <div class="row">
          <form style={{ display: 'flex', gap: '6px', flex: '1 1 300px', maxWidth: '640px' }} onSubmit={(e) => { e.preventDefault(); setParams({ f: (e.currentTarget.elements.namedItem('f') as HTMLInputElement).value.trim() || undefined }, true) }}>
            <input type="search" name="f" key={filter} defaultValue={filter} style={{ flex: 1 }} class="mono" aria-label="Filter in the trace" placeholder="filter: text, or { span.http.status_code >= 500 }"
              onInput={(e) => { if (e.currentTarget.value === '') setParams({ f: undefined }, true) }} />
          </form>
          {filter && (
            <>
              <span class={failure ? 'error-text' : 'muted'} role="status">{failure ?? `${formatCount(count)} of ${formatCount(t.count)}`}</span>
              <button aria-pressed={only} onClick={() => setParams({ fm: only ? undefined : 'only' }, true)}>Only these</button>
              <button class="icon" aria-label="Match before" onClick={() => any(-1, (r) => matches?.[r] === 1, 'matches')}>↑</button>
              <button class="icon" aria-label="Next match" onClick={() => any(1, (r) => matches?.[r] === 1, 'matches')}>↓</button>
            </>
          )}
          <button aria-pressed={showPath} title="The chain of spans that decides how long the trace takes" onClick={() => setParams({ path: showPath ? 'off' : undefined }, true)}>Critical path</button>
          <button onClick={closeLevel} title="Close the deepest open level">Close a level</button>
          {collapsed.size > 0 && <button onClick={() => setCollapsed(new Set())}>Open all</button>}
          {(view[0] > 0 || view[1] < t.total) && <button onClick={() => setView([0, t.total])}>All of the time</button>}
        </div>
      </div>
      {current === 'waterfall' && <div class="minimap-row"><Minimap trace={t} view={view} onView={(v) => setView(clampView(v, t.total))} /></div>}
      <div class="trace-body" style={current === 'waterfall' ? undefined : { gridRow: '2 / 4', overflow: 'auto' }}>
        {current === 'waterfall' && <Waterfall trace={t} rows={rows} view={view} onView={setView} selected={chosen} onSelect={(r) => select(r)} collapsed={collapsed} onCollapse={toggle} matches={matches} path={showPath ? opened.path : undefined} scrollTo={goTo} />}
        {current === 'flame' && <Flame trace={t} selected={chosen} onSelect={(r) => select(r)} />}
        {current === 'path' && <PathTable opened={opened} onSelect={(r) => select(r)} />}
        {current === 'table' && <NamesTable opened={opened} onFilter={(f) => setParams({ f, view: undefined, fm: 'only' })} />}
        {current === 'events' && <EventsTable opened={opened} handle={handle} onSelect={(r) => select(r)} />}
      </div>
      {panel && <SpanPanel opened={opened} handle={handle} row={chosen} onSelect={(r) => select(r, true)} onClose={() => select(-1)} onZoom={() => zoomTo(chosen)} />}
    </div>
  )
}

/** Which spans a filter matches: text is looked for by the worker, TraceQL in braces by the node. */
function useMatches(id: string, handle: TraceHandle, t: TraceColumns, filter: string): { matches?: Uint8Array; count: number; failure?: string } {
  const [found, setFound] = useState<{ matches?: Uint8Array; count: number; failure?: string }>({ count: 0 })
  const latest = useRef(0)
  useEffect(() => {
    const turn = ++latest.current
    if (!filter) { setFound({ count: 0 }); return }
    const abort = new AbortController()
    const show = (matches: Uint8Array) => { if (turn === latest.current) setFound({ matches, count: matches.reduce((n, m) => n + m, 0) }) }
    const fail = (err: Error) => { if (!aborted(err) && turn === latest.current) setFound({ count: 0, failure: err.message.split('\n')[0] }) }
    if (filter.startsWith('{') && id === '') { setFound({ count: 0, failure: 'A file can be filtered by text; TraceQL needs a node.' }); return }
    if (filter.startsWith('{')) {
      getBytes(`/api/v2/traces/${encodeURIComponent(id)}`, { q: filter }, abort.signal).then((b) => {
        const part = TraceBuffer.read(new Uint8Array(b)).columns
        const ids = new Set<string>()
        for (let r = 0; r < part.count; r++) ids.add(spanID(part, r))
        const matches = new Uint8Array(t.count)
        for (let r = 0; r < t.count; r++) if (ids.has(spanID(t, r))) matches[r] = 1
        show(matches)
      }).catch(fail)
    } else handle.find(filter).then((rows) => { const matches = new Uint8Array(t.count); for (const r of rows) matches[r] = 1; show(matches) }).catch(fail)
    return () => abort.abort()
  }, [id, filter, t])
  return found
}

/** Saves the trace as a file that troupectl load and collectors read. */
async function download(id: string, form: 'json' | 'pb'): Promise<void> {
  const save = (b: Blob) => {
    const a = document.createElement('a')
    a.href = URL.createObjectURL(b)
    a.download = `trace-${id}.${form}`
    a.click()
    setTimeout(() => URL.revokeObjectURL(a.href), 10_000)
  }
  try {
    const bytes = new Uint8Array(await getBytes(`/api/traces/${encodeURIComponent(id)}`))
    if (form === 'pb') { save(new Blob([bytes], { type: 'application/x-protobuf' })); return }
    const { writeOTLP } = await import('../model/otlpjson')
    save(new Blob([writeOTLP(bytes)], { type: 'application/json' }))
  } catch (err) { notify(String((err as Error).message)) }
}
