import { config } from '../api/config'
import { serviceColor } from '../draw/colors'
import { formatBytes, formatCount, formatDuration, formatTime, showText } from '../model/format'
import { nameOf, serviceOf } from '../model/trace'
import type { Opened } from '../model/tracehandle'
import { copyText } from '../parts/copy'
import { openMenu } from '../parts/menu'
import { Incomplete } from '../parts/states'
import { setParams } from '../router'
import { zone } from '../settings'
import { download } from './tracedownload'

export const views = [['waterfall', 'Waterfall'], ['flame', 'Flame'], ['merged', 'Merged'], ['path', 'Critical path'], ['table', 'Operations'], ['map', 'Map'], ['events', 'Events']] as const

/** What a trace is called, how large it is, and in which ways it can be looked at. */
export function TraceHead({ id, opened, current, local, onError }: { id: string; opened: Opened; current: string; local: boolean; onError: () => void }) {
  const t = opened.columns, { root, errors, depth } = opened
  const odd = t.odd.cycles + t.odd.duplicates + t.odd.negative
  return (
    <>
      <div class="spread">
        <div style={{ minWidth: 0 }}>
          <h1 class="cut">{root >= 0
            ? <><span class="dot" style={{ background: serviceColor(serviceOf(t, root)) }} /> {showText(serviceOf(t, root))}: {showText(nameOf(t, root))}</>
            : <span class="muted">root span not yet received</span>}</h1>
          <div class="chips muted" style={{ marginTop: '3px' }}>
            <span>{formatTime(Number(t.origin / 1000n) / 1000, zone.value)}</span>·<strong>{formatDuration(t.total)}</strong>·<span>{formatCount(t.count)} {t.count === 1 ? 'span' : 'spans'}</span>·
            <span>{formatCount(opened.services)} {opened.services === 1 ? 'service' : 'services'}</span>·<span>depth {formatCount(depth)}</span>
            {errors > 0 && <button class="pill error" style={{ minHeight: '24px' }} onClick={onError}>{formatCount(errors)} {errors === 1 ? 'error' : 'errors'}</button>}
            {t.odd.orphans > 0 && <span class="pill" title="Spans whose parent has not been received">{formatCount(t.odd.orphans)} without their parent</span>}
            {odd > 0 && <span class="pill" title={`${t.odd.duplicates} ids that came twice, ${t.odd.cycles} cycles of parents, ${t.odd.negative} spans that end before they start`}>odd</span>}
            <button class="plain mono" style={{ minHeight: '24px', padding: '0 4px' }} title="Copy the trace id" onClick={() => copyText(id)}>{id}</button>
          </div>
        </div>
        <div class="row">
          <div class="tabs" role="group" aria-label="View">
            {views.map(([v, name]) => <button key={v} aria-pressed={current === v} onClick={() => setParams({ view: v === 'waterfall' ? undefined : v }, true)}>{name}</button>)}
          </div>
          {!local && <button onClick={(e) => openMenu(e, {
            items: [
              { label: 'Download as OTLP JSON', run: () => void download(id, 'json', opened.bytes) },
              { label: `Download as OTLP protobuf (${formatBytes(opened.bytes)})`, run: () => void download(id, 'pb', opened.bytes) },
              'line',
              { label: 'Copy troupectl command', run: () => copyText(`troupectl trace ${id}`) },
              ...config.value.links.filter((l) => /^https?:/.test(l.url) && !/\{span/.test(l.url)).map((l) => ({ label: l.name, run: () => { open(l.url.replace('{traceId}', encodeURIComponent(id)), '_blank', 'noopener') } })),
            ],
          })}>More …</button>}
        </div>
      </div>
      <Incomplete answer={{ complete: t.complete, warnings: t.warnings, message: t.message }} />
    </>
  )
}
