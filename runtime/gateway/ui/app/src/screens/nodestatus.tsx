import { getJSON, now } from '../api/client'
import { formatBytes, formatCount, formatDuration, showText } from '../model/format'
import { absoluteRange, rangeParams } from '../model/range'
import { useAsk } from '../parts/ask'
import { Empty, Failure, Incomplete, Progress } from '../parts/states'
import { addressOf, params, setParams } from '../router'
import { range, writeTime } from '../view'
import { usePoll } from './nodepoll'

type Value = string | number | boolean | null | Value[] | { [name: string]: Value }
type Facts = { [name: string]: Value }

const isFacts = (v: Value): v is Facts => typeof v === 'object' && v !== null && !Array.isArray(v)

/** maxResultBytes → max result */
const wordsOf = (name: string) => name.replace(/([a-z0-9])([A-Z])/g, '$1 $2').replace(/_/g, ' ').toLowerCase().replace(/ (bytes|seconds|unix nano)$/, '')

/** A value of the API, by what its name says of its unit. */
function show(name: string, v: Value): string {
  if (v === null || v === '') return '–'
  if (typeof v === 'boolean') return v ? 'yes' : 'no'
  if (Array.isArray(v)) return v.map((x) => show(name, x)).join(', ') || '–'
  if (isFacts(v)) return Object.entries(v).map(([k, x]) => `${wordsOf(k)} ${show(k, x)}`).join(', ')
  const n = Number(v)
  if (typeof v === 'string' && (v.trim() === '' || Number.isNaN(n))) return showText(v)
  if (/unixnano$/i.test(name)) return writeTime(Number(BigInt(v) / 1_000_000n))
  if (/bytes$/i.test(name)) return formatBytes(n)
  if (/seconds$/i.test(name)) return formatDuration(n * 1e9)
  return Number.isInteger(n) ? formatCount(n) : String(v)
}

/** What a node is doing: its partitions, and beside them what else it tells of itself. */
export function NodeStatus() {
  const asked = usePoll<Facts>((abort) => getJSON('/api/status/node', {}, abort))
  if (asked.error) return <Failure error={asked.error} retry={asked.again} path="/api/status/node" />
  const { partitions, ...rest } = asked.answer ?? {}
  const groups = Object.entries(rest).filter((e): e is [string, Facts] => isFacts(e[1]))
  const plain = Object.entries(rest).filter(([k, v]) => !isFacts(v) && !['complete', 'warnings', 'watermark'].includes(k) && !(Array.isArray(v) && v.some(isFacts)))
  const lists = Object.entries(rest).filter((e): e is [string, Facts[]] => Array.isArray(e[1]) && e[1].some(isFacts))
  return (
    <>
      <Incomplete answer={asked.answer as { complete?: boolean; warnings?: string[] } | undefined} />
      <Table title="Partitions" rows={(partitions as Facts[] | undefined) ?? []} busy={asked.busy && !asked.answer} />
      <div style={{ display: 'grid', gap: '12px', gridTemplateColumns: 'repeat(auto-fit, minmax(min(260px, 100%), 1fr))' }}>
        {plain.length > 0 && <Group title="Node" facts={Object.fromEntries(plain)} />}
        {groups.map(([name, facts]) => <Group key={name} title={wordsOf(name)} facts={facts} />)}
      </div>
      {lists.map(([name, rows]) => <Table key={name} title={wordsOf(name)} rows={rows} />)}
    </>
  )
}

const capital = (s: string) => s.charAt(0).toUpperCase() + s.slice(1)

function Group({ title, facts }: { title: string; facts: Facts }) {
  return (
    <section class="panel pad" aria-label={capital(title)}>
      <h2 style={{ marginBottom: '8px' }}>{capital(title)}</h2>
      <dl class="facts" style={{ margin: 0 }}>{Object.entries(facts).map(([k, v]) => <><dt key={k}>{wordsOf(k)}</dt><dd class="mono">{show(k, v)}</dd></>)}</dl>
    </section>
  )
}

/** Rows that have the same fields, as a table; fields that are numbers stand to the right. */
function Table({ title, rows, busy = false }: { title: string; rows: Facts[]; busy?: boolean }) {
  const fields = [...new Set(rows.flatMap((r) => Object.keys(r)))]
  const isNumber = (f: string) => f !== fields[0] && rows.every((r) => r[f] === undefined || r[f] === null || !Number.isNaN(Number(r[f])))
  return (
    <section class="panel" aria-label={capital(title)}>
      <h2 class="pad" style={{ paddingBottom: '6px' }}>{capital(title)}</h2>
      {rows.length === 0 ? <p class="pad faint" style={{ margin: 0, paddingTop: 0 }}>{busy ? 'Asking …' : 'None'}</p> : (
        <div class="table-wrap"><table>
          <thead><tr>{fields.map((f) => <th key={f} class={isNumber(f) ? 'number' : ''}>{capital(wordsOf(f))}</th>)}</tr></thead>
          <tbody>{rows.map((r, i) => <tr key={i}>{fields.map((f) => <td key={f} class={isNumber(f) ? 'number' : ''}>{show(f, r[f] ?? null)}</td>)}</tr>)}</tbody>
        </table></div>
      )}
    </section>
  )
}

interface BlockJSON { id: string; tenant: string; partition: number; level: number; startTimeUnixNano: string; endTimeUnixNano: string; spans: string; traces: string; bytes: string }
interface BlocksAnswer { blocks: BlockJSON[]; total: number }

const milliseconds = (unixNano: string) => Number(BigInt(unixNano) / 1_000_000n)

/** The blocks of this tenant that have spans of the range. */
export function NodeBlocks() {
  const r = range.value, limit = Math.min(10_000, Number(params.value.limit) || 200)
  const asked = useAsk<BlocksAnswer>((abort) => getJSON('/api/blocks', { ...rangeParams(r, now()), limit }, abort), [r.from, r.to, limit, params.value.tenant])
  if (asked.error) return <Failure error={asked.error} retry={asked.again} path="/api/blocks" given={{ ...rangeParams(r, now()), limit }} />
  const rows = asked.answer?.blocks ?? []
  const total = asked.answer?.total ?? 0
  const start = (b: BlockJSON) => milliseconds(b.startTimeUnixNano), end = (b: BlockJSON) => milliseconds(b.endTimeUnixNano)
  return (
    <section class="panel" aria-label="Blocks" aria-busy={asked.busy}>
      <Progress active={asked.busy} />
      {total > 0 && <p class="pad muted" style={{ margin: 0, paddingBottom: '4px' }}>{rows.length < total ? `The newest ${formatCount(rows.length)} of ` : ''}{formatCount(total)} {total === 1 ? 'block has' : 'blocks have'} spans of this range</p>}
      {rows.length === 0 ? !asked.busy && <Empty title="No block has spans of this range"><p class="muted">What came last is with the live-stores until a block-builder has cut it.</p></Empty> : (
        <div class={'table-wrap' + (asked.busy ? ' dim' : '')}><table>
          <thead><tr><th>Block</th><th class="number">Partition</th><th class="number" title="How often its spans were merged">Level</th><th>From</th><th>Lasts</th><th class="number">Traces</th><th class="number">Spans</th><th class="number">Size</th><th><span class="visually-hidden">Traces</span></th></tr></thead>
          <tbody>{rows.map((b) => (
            <tr key={b.id}>
              <td class="mono">{b.id}</td><td class="number">{b.partition}</td><td class="number">{b.level}</td><td class="nowrap mono">{writeTime(start(b))}</td><td class="nowrap">{formatDuration((end(b) - start(b)) * 1e6)}</td>
              <td class="number">{formatCount(Number(b.traces))}</td><td class="number">{formatCount(Number(b.spans))}</td><td class="number">{formatBytes(Number(b.bytes))}</td>
              <td class="number"><a href={addressOf('search', { ...absoluteRange(Math.floor(start(b) / 1000) * 1000, Math.ceil(end(b) / 1000) * 1000 + 1000) })}>Its time</a></td>
            </tr>
          ))}</tbody>
        </table></div>
      )}
      {rows.length < total && <div class="pad"><button onClick={() => setParams({ limit: String(limit * 5) })}>Show {formatCount(limit * 5)}</button></div>}
    </section>
  )
}
