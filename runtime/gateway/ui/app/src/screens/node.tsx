import { useState } from 'preact/hooks'
import { APIError, getJSON, getText, now, remove } from '../api/client'
import { config, has } from '../api/config'
import type { ActorStatus, RunningQuery } from '../api/types'
import { formatAge, formatBytes, formatCount, formatDuration } from '../model/format'
import { useAsk } from '../parts/ask'
import { notify } from '../parts/copy'
import { Empty, Failure } from '../parts/states'
import { addressOf, place } from '../router'
import { usePoll } from './nodepoll'
import { NodeBlocks, NodeStatus } from './nodestatus'

/** States in which an actor does not do its work. */
const troubled = /fail|restart|stop|dead|behind|trouble/

const every: { path: string; name: string; needs?: string }[] = [
  { path: '', name: 'State', needs: 'status' }, { path: 'blocks', name: 'Blocks', needs: 'blocks' }, { path: 'queries', name: 'Running queries' },
  { path: 'actors', name: 'Actors' }, { path: 'promise', name: 'Promise' },
]

export function NodeScreen() {
  const parts = every.filter((p) => !p.needs || has(p.needs))
  const part = place.value.path[1] ?? parts[0].path
  return (
    <>
      <div class="spread"><h1>Node <span class="faint" style={{ fontWeight: 400 }}>Troupe {config.value.version}</span></h1>
        <nav class="tabs" aria-label="Parts">{parts.map(({ path, name }) => <a key={path} class="button" href={addressOf(path ? `node/${path}` : 'node')} aria-current={path === part ? 'page' : undefined}>{name}</a>)}</nav></div>
      {part === '' && <NodeStatus />}{part === 'blocks' && <NodeBlocks />}{part === 'actors' && <Actors />}{part === 'queries' && <Queries />}{part === 'promise' && <Promised />}
    </>
  )
}

function Actors() {
  const asked = usePoll<ActorStatus[]>((abort) => getJSON('/status/actors', {}, abort))
  if (asked.error instanceof APIError && asked.error.status === 404) {
    return <section class="panel"><Empty title="The actors are shown on the operator's port"><p class="muted" style={{ maxWidth: '620px' }}>They tell of all tenants, and this port can be reached from other machines. {asked.error.message}</p></Empty></section>
  }
  if (asked.error) return <Failure error={asked.error} retry={asked.again} path="/status/actors" />
  const rows: { a: ActorStatus; level: number }[] = []
  const walk = (list: ActorStatus[], level: number) => { for (const a of list) { rows.push({ a, level }); walk(a.children ?? [], level + 1) } }
  walk(asked.answer ?? [], 0)
  return (
    <section class="panel table-wrap" aria-label="Actors"><table>
      <thead><tr><th>Actor</th><th>State</th><th class="number">Waiting</th><th class="number">Handled</th><th class="number">Restarts</th><th>Details</th></tr></thead>
      <tbody>{rows.map(({ a, level }) => (
        <tr key={a.kind + '/' + (a.key ?? '')}>
          <td style={{ paddingLeft: `${12 + level * 18}px`, minWidth: '230px' }}><strong>{a.kind}</strong> <span class="mono">{a.key}</span>{a.loses && <div class="faint" style={{ fontSize: '12px' }}>A restart loses {a.loses}</div>}</td>
          <td><span class="nowrap"><span class={troubled.test(a.state) ? 'error-text' : 'ok-text'}>●</span> {a.state}</span>{a.lastError && <div class="error-text">{a.lastError}</div>}</td>
          <td class="number">{formatCount(a.mailboxDepth)}</td><td class="number">{formatCount(a.handled)}</td><td class="number">{a.restarts > 0 ? <span class="pill error">{a.restarts}</span> : 0}</td>
          <td><div class="details">{Object.entries(a.detail ?? {}).filter(([, v]) => v !== '').map(([k, v]) => <span key={k}><span class="faint">{k.replace(/_/g, ' ')}</span> <span class="mono">{/bytes/.test(k) && /^\d+$/.test(v) ? formatBytes(Number(v)) : /^\d{4,}$/.test(v) ? formatCount(Number(v)) : v}</span></span>)}</div></td>
        </tr>
      ))}</tbody>
    </table></section>
  )
}

function Queries() {
  const asked = usePoll<{ queries: RunningQuery[] }>((abort) => getJSON('/api/queries', {}, abort))
  const [asking, setAsking] = useState<RunningQuery | undefined>()
  if (asked.error) return <Failure error={asked.error} retry={asked.again} path="/api/queries" />
  const rows = asked.answer?.queries ?? []
  return (
    <section class="panel" aria-label="Running queries">
      {rows.length === 0 ? <Empty title="No query is running"><p class="faint">This page looks every two seconds.</p></Empty> : (
        <div class="table-wrap"><table>
          <thead><tr><th>Query</th><th>State</th><th class="number">Age</th><th class="number">Jobs</th><th class="number">Read</th><th class="number">Cost</th><th /></tr></thead>
          <tbody>{rows.map((x) => (
            <tr key={x.id}>
              <td><span class="pill">{x.op}</span> <span class="mono">{x.query}</span>{config.value.multitenancy && <div class="faint">{x.tenant}</div>}</td><td>{x.state}</td>
              <td class="number">{formatAge(now() - Date.parse(x.began)).replace(' ago', '')}</td><td class="number">{x.done} of {x.jobs}</td><td class="number">{formatBytes(Number(x.inspectedBytes))}</td><td class="number">{formatDuration(x.heldSeconds * 1e9)}</td>
              <td class="number"><button onClick={() => setAsking(x)}>Cancel …</button></td>
            </tr>
          ))}</tbody>
        </table></div>
      )}
      {asking && (
        <dialog ref={(d) => { if (d && !d.open) d.showModal() }} onClose={() => setAsking(undefined)} aria-label="Cancel the query">
          <p>End this query? Its client is told that it was cancelled.</p><pre>{asking.query}</pre>
          <form method="dialog" class="row" style={{ marginTop: '14px' }}>
            <button class="primary" onClick={() => void remove(`/api/queries/${encodeURIComponent(asking.id)}`).then(() => { notify('Cancelled'); asked.again() }, (e: Error) => notify(e.message))}>End it</button><button>Leave it</button>
          </form>
        </dialog>
      )}
    </section>
  )
}

function Promised() {
  const asked = useAsk<string>((abort) => getText('/status/promise', abort), [])
  if (asked.error) return <Failure error={asked.error} retry={asked.again} path="/status/promise" />
  return <section class="panel pad" aria-label="Promise">{(asked.answer ?? '').trim().split('\n').map((l) => <p key={l}>{l}</p>)}</section>
}
