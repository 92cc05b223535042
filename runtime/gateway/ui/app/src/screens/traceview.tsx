import { useEffect, useMemo, useState } from 'preact/hooks'
import { Flame } from '../draw/flame'
import { Minimap } from '../draw/minimap'
import { clampView, indexOf, Waterfall } from '../draw/waterfall'
import { findSpan, spanID, statusError, type TraceColumns } from '../model/trace'
import { notify } from '../parts/copy'
import { useKept } from '../parts/kept'
import { useKeys } from '../parts/keys'
import { params, setParams } from '../router'
import { later } from '../parts/later'
import { SpanPanel } from './spanpanel'
import type { Loaded } from './trace'
import { TraceFilter } from './tracefilter'
import { TraceHead, views } from './tracehead'
import { useMatches } from './tracematches'
import { EventsTable, NamesTable, PathTable } from './tracetables'

const TraceMap = later(() => import('./tracemap').then((m) => m.TraceMap))
const MergedView = later(() => import('./mergedview').then((m) => m.MergedView))

const mostCollapsed = 50 // ids in the address

/** What is closed, as the ids of its spans. */
function writeCollapsed(t: TraceColumns, collapsed: Set<number>): string {
  return collapsed.size > mostCollapsed ? '' : [...collapsed].sort((a, b) => a - b).map((r) => spanID(t, r)).join()
}

function readCollapsed(t: TraceColumns, text: string): Set<number> {
  return new Set(text.split(',').filter((id) => /^[0-9a-f]{16}$/.test(id)).slice(0, mostCollapsed).map((id) => findSpan(t, id)).filter((r) => r >= 0))
}

/** The rows that are shown: without those below closed ones, and with a filter's mode those that it leaves. */
function listRows(t: TraceColumns, collapsed: Set<number>, matches: Uint8Array | undefined, mode: string | undefined): Int32Array {
  let keep: Uint8Array | undefined
  if (matches && mode === 'only') keep = matches
  else if (matches && mode === 'tree') {
    keep = new Uint8Array(t.count)
    for (let r = 0; r < t.count; r++) if (matches[r]) for (let p = r; p >= 0 && !keep[p]; p = t.parent[p]) keep[p] = 1
  }
  const out = new Int32Array(t.count)
  let n = 0
  for (let r = 0; r < t.count;) {
    if (!keep || keep[r]) out[n++] = r
    r += collapsed.has(r) ? t.size[r] : 1
  }
  return n === t.count ? out : out.slice(0, n)
}

/** An opened trace: of the node, or of a file. */
export function TraceView({ id, handle, opened, whole, again, local = false }: Loaded & { id: string; again?: () => void; local?: boolean }) {
  const t = opened.columns
  const [view, setView] = useKept<[number, number]>('z',
    (text) => { const m = /^(\d+),(\d+)$/.exec(text); return m && Number(m[1]) < Number(m[2]) ? clampView([Number(m[1]), Number(m[2])], t.total) : [0, t.total] },
    (v) => (v[0] <= 0 && v[1] >= t.total ? '' : `${Math.round(v[0])},${Math.round(v[1])}`))
  const [collapsed, setCollapsed] = useKept<Set<number>>('col', (text) => readCollapsed(t, text), (c) => writeCollapsed(t, c))
  const chosen = useMemo(() => (params.value.span ? findSpan(t, params.value.span) : -1), [params.value.span, t])
  const [goTo, setGoTo] = useState({ row: chosen, turn: 0 })
  const filter = params.value.f ?? '', mode = params.value.fm
  const matches = useMatches(local ? '' : id, handle, t, whole, filter)
  const showPath = params.value.path !== 'off'
  useEffect(() => { performance.mark('drawn') }, [])

  const rows = useMemo(() => listRows(t, collapsed, matches.rows, mode), [t, collapsed, matches.rows, mode])
  const select = (row: number, follow = false) => {
    if (row < 0) { setParams({ span: undefined }, true); return }
    if (indexOf(rows, row) < 0) setCollapsed((c) => { const next = new Set(c); for (let p = t.parent[row]; p >= 0; p = t.parent[p]) next.delete(p); return next.size === c.size ? c : next })
    setParams({ span: spanID(t, row) }, true)
    if (follow) setGoTo((g) => ({ row, turn: g.turn + 1 }))
  }
  const toggle = (row: number) => setCollapsed((c) => { const next = new Set(c); if (!next.delete(row)) next.add(row); return next })
  const step = (d: number) => { const i = Math.max(0, Math.min(rows.length - 1, indexOf(rows, chosen) + d)); if (rows.length > 0) select(rows[i], true) }
  const any = (d: number, fits: (row: number) => boolean, name: string) => {
    for (let k = 1; k <= t.count; k++) {
      const r = ((((chosen < 0 ? (d > 0 ? -1 : t.count) : chosen) + d * k) % t.count) + t.count) % t.count
      if (fits(r)) { select(r, true); return }
    }
    notify(`No ${name}`)
  }
  const pathRows = useMemo(() => { const on = new Uint8Array(t.count); for (const r of opened.path.row) on[r] = 1; return on }, [opened])
  const zoomTo = (row: number) => { const pad = t.duration[row] * .04 + 1; setView(clampView([t.start[row] - pad, t.start[row] + t.duration[row] + pad], t.total)) }
  const scale = (f: number, shift = 0) => setView((v) => { const w = v[1] - v[0], m = (v[0] + v[1]) / 2 + shift * w; return clampView([m - w * f / 2, m + w * f / 2], t.total) })
  const closeLevel = () => {
    const list = new Set(collapsed)
    let deepest = 0
    for (const r of rows) if (t.size[r] > 1 && !collapsed.has(r)) deepest = Math.max(deepest, t.depth[r])
    for (const r of rows) if (t.size[r] > 1 && t.depth[r] === deepest) list.add(r)
    setCollapsed(list)
  }
  const isError = (r: number) => t.status[r] === statusError
  const nextError = (d = 1) => any(d, isError, 'errors'), nextMatch = (d = 1) => any(d, (r) => matches.rows?.[r] === 1, 'matches')
  useKeys([
    { key: 'ArrowDown', name: 'next span', run: (e) => { e.preventDefault(); step(1) } }, { key: 'ArrowUp', name: 'span before', run: (e) => { e.preventDefault(); step(-1) } },
    { key: 'j', name: 'next span', run: () => step(1) }, { key: 'k', name: 'span before', run: () => step(-1) },
    { key: 'ArrowLeft', name: 'close, or to the parent', run: (e) => { e.preventDefault(); if (chosen >= 0 && t.size[chosen] > 1 && !collapsed.has(chosen)) toggle(chosen); else if (chosen >= 0 && t.parent[chosen] >= 0) select(t.parent[chosen], true) } },
    { key: 'ArrowRight', name: 'open, or to the first child', run: (e) => { e.preventDefault(); if (chosen >= 0 && collapsed.has(chosen)) toggle(chosen); else if (chosen >= 0 && t.size[chosen] > 1) select(chosen + 1, true) } },
    { key: 'u', name: 'to the parent', run: () => { if (chosen >= 0 && t.parent[chosen] >= 0) select(t.parent[chosen], true) } },
    { key: 'e', name: 'next error', run: () => nextError() }, { key: 'E', name: 'error before', run: () => nextError(-1) },
    { key: 'c', name: 'next on the critical path', run: () => any(1, (r) => pathRows[r] === 1, 'critical path') }, { key: 'C', name: 'before on the critical path', run: () => any(-1, (r) => pathRows[r] === 1, 'critical path') },
    { key: 'n', name: 'next match', run: () => nextMatch() }, { key: 'N', name: 'match before', run: () => nextMatch(-1) },
    { key: 'z', name: 'zoom to the span', run: () => { if (chosen >= 0) zoomTo(chosen) } }, { key: '0', name: 'all of the trace', run: () => setView([0, t.total]) },
    { key: 'w', name: 'zoom in', run: () => scale(.7) }, { key: 'd', name: 'pan right', run: () => scale(1, .2) }, { key: 'a', name: 'pan left', run: () => scale(1, -.2) },
    ...views.map(([v, name], i) => ({ key: String(i + 1), name, run: () => setParams({ view: v === 'waterfall' ? undefined : v }, true) })),
    { key: 'Escape', name: 'close the span', run: () => select(-1) },
  ])

  const current = views.find(([v]) => v === params.value.view)?.[0] ?? 'waterfall'
  return (
    <div class={chosen >= 0 ? 'trace with-panel' : 'trace'}>
      <div class="trace-head">
        <TraceHead id={id} opened={opened} current={current} local={local} onError={() => nextError()} />
        <TraceFilter filter={filter} mode={mode} matches={matches} opened={opened} whole={whole} again={again} onNext={nextMatch}>
          {current === 'waterfall' && <><button aria-pressed={showPath} title="The chain of spans that decides how long the trace takes" onClick={() => setParams({ path: showPath ? 'off' : undefined }, true)}>Critical path</button>
          <button onClick={closeLevel} title="Close the deepest open level">Close a level</button>
          {collapsed.size > 0 && <button onClick={() => setCollapsed(new Set<number>())}>Open all</button>}
          {(view[0] > 0 || view[1] < t.total) && <button onClick={() => setView([0, t.total])}>All of the time</button>}</>}
        </TraceFilter>
      </div>
      {current === 'waterfall' && <div class="minimap-row"><Minimap busy={opened.busy} total={t.total} view={view} onView={(v) => setView(clampView(v, t.total))} /></div>}
      <div class="trace-body" style={current === 'waterfall' ? undefined : { gridRow: '2 / 4', overflow: 'auto' }}>
        {current === 'waterfall' && <Waterfall trace={t} rows={rows} view={view} onView={setView} selected={chosen} onSelect={(r) => select(r)} collapsed={collapsed} onCollapse={toggle} matches={matches.rows} path={showPath ? opened.path : undefined} scrollTo={goTo} />}
        {current === 'flame' && <Flame trace={t} handle={handle} selected={chosen} onSelect={(r) => select(r)} />}
        {current === 'merged' && <MergedView handle={handle} onSelect={(r) => select(r)} onFilter={(f) => setParams({ f, view: undefined, fm: 'tree' })} />}
        {current === 'map' && <TraceMap handle={handle} onFilter={(f) => setParams({ f, view: undefined, fm: 'tree' })} />}
        {current === 'path' && <PathTable opened={opened} handle={handle} onSelect={(r) => select(r)} />}
        {current === 'table' && <NamesTable opened={opened} handle={handle} onFilter={(f) => setParams({ f, view: undefined, fm: 'tree' })} />}
        {current === 'events' && <EventsTable opened={opened} handle={handle} onSelect={(r) => select(r)} />}
      </div>
      {chosen >= 0 && <SpanPanel opened={opened} handle={handle} row={chosen} onSelect={(r) => select(r, true)} onClose={() => select(-1)} onZoom={() => zoomTo(chosen)} />}
    </div>
  )
}
