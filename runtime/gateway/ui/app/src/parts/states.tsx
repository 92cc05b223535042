// The states that every screen has: loading, empty, failed, incomplete.

import { useEffect, useState } from 'preact/hooks'
import type { ComponentChildren } from 'preact'
import { APIError, endpoint, type Params } from '../api/client'
import type { Completeness } from '../api/types'
import { formatTime } from '../model/format'
import { zone } from '../settings'
import { copyText } from './copy'

/** A bar that fills as jobs end. It shows after 150 ms, so that quick answers do not flicker. */
export function Progress({ active, done, total }: { active: boolean; done?: number; total?: number }) {
  const [late, setLate] = useState(false)
  useEffect(() => {
    if (!active) { setLate(false); return }
    const t = setTimeout(() => setLate(true), 150)
    return () => clearTimeout(t)
  }, [active])
  if (!active || !late) return <div class="progress" />
  const known = total !== undefined && total > 0
  return (
    <div class={known ? 'progress' : 'progress unknown'} role="progressbar" aria-label="Progress of the query"
      aria-valuemin={0} aria-valuemax={known ? total : undefined} aria-valuenow={known ? done : undefined}>
      <div style={known ? { width: `${Math.max(3, 100 * (done ?? 0) / total)}%` } : undefined} />
    </div>
  )
}

export function Empty({ title, children }: { title: string; children?: ComponentChildren }) {
  return <div class="empty"><h2>{title}</h2>{children}</div>
}

/** What went wrong, in the server's words, with the request as a command to try it outside. */
export function Failure({ error, retry, path, given }: { error: Error; retry?: () => void; path?: string; given?: Params }) {
  const api = error instanceof APIError ? error : undefined
  const [wait, setWait] = useState(api?.retryAfter ?? 0)
  useEffect(() => {
    setWait(api?.retryAfter ?? 0)
    if (!api?.retryAfter) return
    const t = setInterval(() => setWait((w) => Math.max(0, w - 1)), 1000)
    return () => clearInterval(t)
  }, [error])
  const title = !api || api.status === 0 ? 'The request failed' : api.status === 499 ? 'The query was cancelled'
    : api.status === 400 ? 'The query cannot be run' : api.status === 429 ? 'A limit was reached' : api.status === 404 ? 'Not found' : `The server answered ${api.status}`
  const at = path && new URL(endpoint(path, given), location.href)
  return (
    <div class="notice error" role="alert">
      <div style={{ flex: 1, minWidth: 0 }}>
        <strong>{title}</strong>
        <pre class="mono" style={{ margin: '4px 0 0' }}>{error.message}</pre>
        {(retry || at) && (
          <div class="row" style={{ marginTop: '8px' }}>
            {retry && <button onClick={retry} disabled={wait > 0}>{wait > 0 ? `Try again in ${wait} s` : 'Try again'}</button>}
            {at && <button class="plain" onClick={() => copyText(`curl -G '${at.origin}${at.pathname}'${[...at.searchParams].map(([k, v]) => ` --data-urlencode '${k}=${v.replace(/'/g, `'\\''`)}'`).join('')}`)}>Copy as curl</button>}
          </div>
        )}
      </div>
    </div>
  )
}

/** Says what an answer lacks. Nothing is shown for a complete one. */
export function Incomplete({ answer }: { answer?: Completeness }) {
  if (!answer || (answer.complete !== false && answer.status !== 'PARTIAL')) return null
  const reasons = [...(answer.warnings ?? []), ...(answer.message ? [answer.message] : [])]
  return (
    <div class="notice warn" role="status">
      <div>
        <strong>{answer.complete === false ? 'This answer is incomplete' : 'This answer is cut to a limit'}</strong>
        <span class="muted">{answer.complete === false ? ' Numbers are at least what is shown.' : ''}</span>
        {reasons.length > 0 && <ul>{reasons.map((w) => <li key={w}>{w}</li>)}</ul>}
      </div>
    </div>
  )
}

/** Up to which moment an answer has everything that was acknowledged. */
export function Watermark({ answer }: { answer?: Completeness }) {
  if (!answer?.watermark || answer.watermark === '0') return null
  const ms = Number(BigInt(answer.watermark) / 1_000_000n)
  return <span class="faint nowrap" title="Every span that was acknowledged before this moment is in the answer.">as of {formatTime(ms, zone.value, false)}</span>
}
