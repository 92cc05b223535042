import { useEffect, useRef, useState } from 'preact/hooks'
import { aborted, APIError, follow, now } from '../api/client'
import type { FoundTrace } from '../api/types'
import { serviceColor } from '../draw/colors'
import { formatCount, formatDuration, formatNumber, formatTime, showText } from '../model/format'
import { rangeParams } from '../model/range'
import { addTraces, emptyTail, mostKept, rateOf, resume, type TailState } from '../model/tail'
import { Editor, errorPlace } from '../parts/editor'
import { useKeys } from '../parts/keys'
import { speak } from '../parts/live'
import { Failure } from '../parts/states'
import { addressOf, go, params, setParams } from '../router'
import { zone } from '../settings'
import { range } from '../view'
import { errorsOf, padID, plainFilter, spansOf, startMs } from './found'

interface Came { traces?: FoundTrace[]; dropped?: number | string; watermark?: string }
type Link = { state: 'connecting' | 'open' } | { state: 'lost'; again: number; error: Error } | { state: 'refused'; error: Error }

/** Whether an error will come again however often one asks. */
const final = (e: Error) => e instanceof APIError && e.status >= 400 && e.status < 500 && e.status !== 429

/**
 * Keeps a stream open: after a break it asks again, after one second, then two, at most fifteen.
 * A page that nobody sees asks for nothing.
 */
function useStream(path: string, given: Record<string, string>, onEvent: (name: string, data: unknown) => void, deps: unknown[]): [Link, () => void] {
  const [link, setLink] = useState<Link>({ state: 'connecting' })
  const [turn, setTurn] = useState(0)
  const latest = useRef(onEvent)
  latest.current = onEvent
  useEffect(() => {
    const abort = new AbortController()
    let timer: ReturnType<typeof setTimeout> | undefined, running: AbortController | undefined, tries = 0
    const lost = (error: Error) => {
      if (abort.signal.aborted) return
      if (final(error)) { setLink({ state: 'refused', error }); return }
      const wait = Math.max(1000 * Math.min(15, 2 ** tries++), error instanceof APIError ? 1000 * error.retryAfter : 0)
      setLink({ state: 'lost', again: Date.now() + wait, error })
      timer = setTimeout(open, wait)
    }
    const open = () => {
      if (document.hidden) { timer = undefined; return }
      running = new AbortController()
      const mine = running
      follow(path, given, () => { tries = 0; setLink({ state: 'open' }) }, (name, data) => { if (!mine.signal.aborted) latest.current(name, data) }, mine.signal)
        .then(() => lost(new APIError(0, 'The node ended the stream.', 0, path)), (e: Error) => { if (!aborted(e) && !mine.signal.aborted) lost(e) })
    }
    const seen = () => {
      clearTimeout(timer)
      running?.abort()
      if (document.hidden) setLink({ state: 'connecting' })
      else open()
    }
    setLink({ state: 'connecting' })
    open()
    document.addEventListener('visibilitychange', seen)
    return () => { abort.abort(); running?.abort(); clearTimeout(timer); document.removeEventListener('visibilitychange', seen) }
  }, [...deps, turn])
  return [link, () => setTurn((t) => t + 1)]
}

/** Traces as they come. */
export function TailScreen() {
  const q = params.value.q ?? ''
  const [text, setText] = useState(q)
  useEffect(() => setText(q), [q])
  const [paused, setPaused] = useState(false)
  const [shown, setShown] = useState<TailState<FoundTrace>>(emptyTail)
  const state = useRef(shown), frame = useRef(0), pausedNow = useRef(false)
  pausedNow.current = paused
  const draw = () => { frame.current ||= requestAnimationFrame(() => { frame.current = 0; setShown(state.current) }) }
  const [watermark, setWatermark] = useState<string | undefined>()
  const [link, again] = useStream('/api/tail', { q: q || '{ }' }, (name, data) => {
    if (name !== 'traces') return
    const came = data as Came
    state.current = addTraces(state.current, came.traces ?? [], Number(came.dropped ?? 0), Date.now(), pausedNow.current)
    setWatermark(came.watermark)
    speak(`${formatCount(state.current.came)} traces came`)
    draw()
  }, [q, params.value.tenant])
  useEffect(() => { state.current = emptyTail(); setShown(state.current); setPaused(false) }, [q, params.value.tenant])
  useEffect(() => { const t = setInterval(draw, 1000); return () => { clearInterval(t); cancelAnimationFrame(frame.current); frame.current = 0 } }, []) // the rate falls while nothing comes
  const run = (next: string) => (next === q ? again() : setParams({ q: next || undefined }))
  const turnPause = () => { if (paused) { state.current = resume(state.current); setShown(state.current) } setPaused(!paused) }
  useKeys([{ key: 'p', name: 'pause, go on', run: turnPause }])
  const refused = link.state === 'refused' ? link.error : undefined
  return (
    <>
      <section class="panel pad" aria-label="Query">
        <div class="query">
          <Editor value={q} label="Traces to follow, in TraceQL" onChange={setText} onRun={run} time={() => rangeParams(range.peek(), now())} error={refused && errorPlace(refused.message)} />
          <button class="primary" onClick={() => run(text)}>Follow</button>
        </div>
      </section>
      {refused && <Failure error={refused} retry={again} path="/api/tail" given={{ q }} />}
      <section class="panel" aria-label="Traces as they come">
        <div class="spread pad" style={{ paddingBottom: '8px' }}>
          <div class="row"><h1>Tail</h1><State link={link} paused={paused} /></div>
          <div class="row tail-figures">
            <span class="number" title="Traces a second, over the last ten">{formatNumber(rateOf(shown, Date.now()))}/s</span>
            <span class="muted number">{formatCount(shown.came)} came</span>
            {shown.dropped > 0 && <span class="pill error" title="The node left these out because they came faster than this page took them">{formatCount(shown.dropped)} dropped</span>}
            {watermark && watermark !== '0' && <span class="faint nowrap">as of {formatTime(Number(BigInt(watermark) / 1_000_000n), zone.value, false)}</span>}
            <button aria-pressed={paused} onClick={turnPause} title="( p )">{paused ? `Go on${shown.waiting.length > 0 ? ` (${formatCount(shown.waiting.length)}${shown.waiting.length === mostKept ? '+' : ''} new)` : ''}` : 'Pause'}</button>
            <button onClick={() => { state.current = emptyTail(); setShown(state.current) }} disabled={shown.came === 0}>Clear</button>
          </div>
        </div>
        <TailTable rows={shown.rows} query={q} />
        {shown.rows.length === 0 && <p class="empty">{refused ? '' : 'Traces appear here when they have come to the node.'}</p>}
        {shown.rows.length === mostKept && <p class="pad faint" style={{ margin: 0 }}>The newest {formatCount(mostKept)} are kept; older ones are in <a href={addressOf('search', { q })}>Search</a>.</p>}
      </section>
    </>
  )
}

function State({ link, paused }: { link: Link; paused: boolean }) {
  const [, tick] = useState(0)
  useEffect(() => { if (link.state !== 'lost') return; const t = setInterval(() => tick((n) => n + 1), 1000); return () => clearInterval(t) }, [link])
  if (link.state === 'lost') return <span class="error-text" role="status" title={link.error.message}>● The connection is lost; asking again in {Math.max(1, Math.ceil((link.again - Date.now()) / 1000))} s. What comes meanwhile is in Search.</span>
  if (link.state === 'refused') return <span class="error-text" role="status">● not followed</span>
  if (link.state === 'connecting') return <span class="muted" role="status">○ connecting</span>
  return paused ? <span class="muted" role="status">❚❚ paused</span> : <span class="muted" role="status"><span class="ok-text">●</span> following</span>
}

/** Rows of a fixed height in columns of a fixed width, so that nothing moves but the rows. */
function TailTable({ rows, query }: { rows: FoundTrace[]; query: string }) {
  if (rows.length === 0) return null
  return (
    <div class="table-wrap"><table class="tail">
      <thead><tr><th style={{ width: '190px' }}>Start</th><th>Trace</th><th class="number" style={{ width: '110px' }}>Duration</th><th class="number" style={{ width: '80px' }}>Spans</th><th class="number" style={{ width: '80px' }}>Errors</th></tr></thead>
      <tbody>{rows.map((t) => {
        const address = () => addressOf(`trace/${padID(t.traceID)}`, { f: plainFilter(query) }), errors = errorsOf(t), spans = spansOf(t)
        return (
          <tr key={t.traceID} class="link" onClick={(e) => { if (!(e.target as Element).closest('a')) go(`trace/${padID(t.traceID)}`, { f: plainFilter(query) }) }}>
            <td class="nowrap mono">{formatTime(startMs(t), zone.value)}</td>
            <td><a href={address()} class="row" style={{ flexWrap: 'nowrap', color: 'inherit' }}><span class="dot" style={{ background: serviceColor(t.rootServiceName ?? '') }} /><span class="cut"><strong>{showText(t.rootServiceName ?? '')}</strong> {showText(t.rootTraceName ?? '')}</span></a></td>
            <td class="number">{t.durationMs === undefined ? '–' : formatDuration(t.durationMs * 1e6)}</td>
            <td class="number">{spans > 0 ? formatCount(spans) : '–'}</td>
            <td class="number">{errors > 0 ? <span class="pill error">{formatCount(errors)}</span> : <span class="faint">0</span>}</td>
          </tr>
        )
      })}</tbody>
    </table></div>
  )
}
