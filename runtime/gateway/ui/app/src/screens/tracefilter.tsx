import type { ComponentChildren } from 'preact'
import { formatCount } from '../model/format'
import { marks } from '../model/opentrace'
import type { Opened } from '../model/tracehandle'
import { openMenu } from '../parts/menu'
import { setParams } from '../router'
import type { Matches } from './tracematches'

interface Props { filter: string; mode?: string; matches: Matches; opened: Opened; whole: boolean; again?: () => void; onNext: (d: number) => void; children: ComponentChildren }

/** The filter inside a trace, and how many spans it matches. */
export function TraceFilter({ filter, mode, matches, opened, whole, again, onNext, children }: Props) {
  const text = !filter.startsWith('{') && !filter.startsWith('is:')
  return (
    <div class="row">
      <form style={{ display: 'flex', gap: '6px', flex: '1 1 300px', maxWidth: '640px' }} onSubmit={(e) => { e.preventDefault(); setParams({ f: (e.currentTarget.elements.namedItem('f') as HTMLInputElement).value.trim() || undefined }, true) }}>
        <input type="search" name="f" key={filter} defaultValue={filter} style={{ flex: 1 }} class="mono" aria-label="Filter in the trace" placeholder="filter: text, or { span.http.status_code >= 500 }"
          onInput={(e) => { if (e.currentTarget.value === '') setParams({ f: undefined, fm: undefined }, true) }} />
        <button type="button" title="Mark spans" onClick={(e) => openMenu(e, { items: [{ label: 'Mark', heading: true }, ...marks.map(([f, name]) => ({ label: name, checked: filter === f, run: () => setParams({ f: filter === f ? undefined : f }, true) }))] })}>Mark …</button>
      </form>
      {filter && (
        <>
          <span class={matches.failure ? 'error-text' : 'muted'} role="status">
            {matches.busy ? 'looking …' : matches.grown ? 'The trace has grown meanwhile.' : matches.failure ?? `${formatCount(matches.count)} of ${formatCount(opened.columns.count)}`}
            {text && !whole && !matches.failure && !matches.busy && <span class="faint" title="Attributes of a trace of this size are not loaded; TraceQL in braces searches them on the node"> in names, services and ids</span>}
          </span>
          {matches.grown && again && <button onClick={again}>Open it again</button>}
          <select aria-label="What is shown" value={mode ?? 'dim'} onChange={(e) => setParams({ fm: e.currentTarget.value === 'dim' ? undefined : e.currentTarget.value }, true)}>
            <option value="dim">others dimmed</option><option value="tree">with their parents</option><option value="only">only these</option>
          </select>
          <button class="icon" aria-label="Match before" onClick={() => onNext(-1)}>↑</button>
          <button class="icon" aria-label="Next match" onClick={() => onNext(1)}>↓</button>
        </>
      )}
      {children}
    </div>
  )
}
