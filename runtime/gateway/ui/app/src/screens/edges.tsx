// What several pages show of the calls between services.

import { getJSON, now } from '../api/client'
import type { Completeness } from '../api/types'
import { serviceColor } from '../draw/colors'
import { formatCount, formatDuration, formatNumber, formatPercent, showText } from '../model/format'
import { boundsOf, rangeParams, type Range } from '../model/range'
import type { Edge } from '../model/servicemap'
import { addressOf, params, setParams } from '../router'
import { writeString } from '../traceql/tokens'

interface EdgeJSON { client: string; server: string; kind?: string; count: number | string; errors?: number | string; seconds?: { p50?: number; p95?: number; p99?: number } }
export interface EdgesAnswer extends Completeness { edges: EdgeJSON[] }

export const askEdges = (q: string, r: Range, abort: AbortSignal) => getJSON<EdgesAnswer>('/api/edges', { q: q || undefined, ...rangeParams(r, now()) }, abort)

export function readEdges(a: EdgesAnswer | undefined): Edge[] {
  return (a?.edges ?? []).map((e) => ({ client: e.client, server: e.server, kind: e.kind ?? 'call', count: Number(e.count), errors: Number(e.errors ?? 0), p50: (e.seconds?.p50 ?? 0) * 1e9, p95: (e.seconds?.p95 ?? 0) * 1e9, p99: (e.seconds?.p99 ?? 0) * 1e9 }))
}

/** Writes a count of a range as a rate. */
export function rateIn(r: Range): (e: Edge) => string {
  const [from, to] = boundsOf(r, now())
  return (e) => `${formatNumber(e.count / Math.max(1, (to - from) / 1000))}/s`
}

/** A query for traces in which a client calls a server. */
export function callsQuery(e: Edge): string {
  const client = `{ resource.service.name = ${writeString(e.client)} }`
  return e.kind === 'database' ? `{ resource.service.name = ${writeString(e.client)} && kind = client }` : `${client} > { resource.service.name = ${writeString(e.server)} }`
}

const columns = ['client', 'server', 'count', 'errors', 'p50', 'p95', 'p99'] as const

/** Edges as a table. address says where the name of a service leads; without leaves out a side that is always the same. */
export function EdgesTable({ edges, count, address, label, without }: { edges: Edge[]; count: (e: Edge) => string; address: (service: string) => string; label: string; without?: 'client' | 'server' }) {
  const by = columns.find((c) => c === params.value.sort) ?? 'count'
  const valueOf = (e: Edge) => (by === 'errors' ? e.errors / e.count : e[by])
  const rows = [...edges].sort((a, b) => { const x = valueOf(a), y = valueOf(b); return typeof x === 'string' ? (x < (y as string) ? -1 : 1) : (y as number) - x })
  const head = (id: typeof columns[number], name: string) => <th class={id === 'client' || id === 'server' ? '' : 'number'} aria-sort={by === id ? (id === 'client' || id === 'server' ? 'ascending' : 'descending') : undefined}><button onClick={() => setParams({ sort: id === 'count' ? undefined : id }, true)}>{name}{by === id && (id === 'client' || id === 'server' ? ' ↑' : ' ↓')}</button></th>
  const service = (name: string) => <a class="row" style={{ flexWrap: 'nowrap', color: 'inherit' }} href={address(name)}><span class="dot" style={{ background: serviceColor(name) }} /><strong>{showText(name) || <i>no name</i>}</strong></a>
  return (
    <div class="table-wrap"><table aria-label={label}>
      <thead><tr>{without !== 'client' && head('client', without ? 'Service' : 'From')}{without !== 'server' && head('server', without ? 'Service' : 'To')}<th>Kind</th>{head('count', 'Calls')}{head('errors', 'Errors')}{head('p50', 'p50 ≈')}{head('p95', 'p95 ≈')}{head('p99', 'p99 ≈')}<th><span class="visually-hidden">Traces</span></th></tr></thead>
      <tbody>{rows.slice(0, 500).map((e) => (
        <tr key={`${e.client}→${e.server}→${e.kind}`}>
          {without !== 'client' && <td>{service(e.client)}</td>}{without !== 'server' && <td>{service(e.server)}</td>}<td class="muted">{e.kind}</td>
          <td class="number" title={`${formatCount(e.count)} calls`}>{count(e)}</td>
          <td class="number">{e.errors > 0 ? <span class="pill error">{formatPercent(e.errors / e.count)}</span> : <span class="faint">0 %</span>}</td>
          <td class="number">{formatDuration(e.p50)}</td><td class="number">{formatDuration(e.p95)}</td><td class="number">{formatDuration(e.p99)}</td>
          <td class="number"><a href={addressOf('search', { q: callsQuery(e) })}>Traces</a></td>
        </tr>
      ))}</tbody>
    </table>{rows.length > 500 && <p class="pad faint">The first 500 of {formatCount(rows.length)} edges.</p>}</div>
  )
}
