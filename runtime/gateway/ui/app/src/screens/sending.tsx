import { useState } from 'preact/hooks'
import { getJSON, getText, now } from '../api/client'
import { config } from '../api/config'
import { sampleValue, valueText, type SearchAnswer, type SeriesAnswer } from '../api/types'
import { formatCount, formatDuration, showText } from '../model/format'
import { useAsk } from '../parts/ask'
import { copyText } from '../parts/copy'
import { Failure, Progress } from '../parts/states'
import { addressOf, params, setParams } from '../router'
import { writeString } from '../traceql/tokens'
import { startMs } from './found'

interface Found { name: string; spans: number }

/** The distance of two names in changes of one letter, up to 3. */
function distance(a: string, b: string): number {
  if (Math.abs(a.length - b.length) > 2) return 3
  let row = Array.from({ length: b.length + 1 }, (_, i) => i)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) next[j] = Math.min(row[j] + 1, next[j - 1] + 1, row[j - 1] + (a[i - 1] === b[j - 1] ? 0 : 1))
    row = next
  }
  return row[b.length]
}

/** Is my service sending? The checks come in the order in which things go wrong. */
export function SendingScreen() {
  const service = params.value.service ?? ''
  const [text, setText] = useState(service)
  const ready = useAsk<string>((abort) => getText('/ready', abort), [])
  const names = useAsk<Found[]>(async (abort) => {
    const a = await getJSON<SeriesAnswer>('/api/metrics/query', { q: '{ } | count_over_time() by (resource.service.name)', since: '1h' }, abort)
    return (a.series ?? []).map((s) => ({ name: valueText(s.labels?.[0]?.value), spans: sampleValue(s.value) })).filter((x) => x.spans > 0)
  }, [params.value.tenant])
  const newest = useAsk<SearchAnswer>(service ? (abort) => getJSON('/api/search', { q: `{ resource.service.name = ${writeString(service)} }`, limit: 1, spss: 1, since: '24h' }, abort) : undefined, [service, params.value.tenant])
  const found = names.answer?.find((x) => x.name === service)
  const near = service && names.answer ? names.answer.filter((x) => x.name !== service && (distance(x.name.toLowerCase(), service.toLowerCase()) <= 2 || x.name.startsWith('unknown_service'))) : []
  const last = newest.answer?.traces?.[0]
  const age = last ? now() - startMs(last) : NaN
  const host = location.hostname
  const again = () => { names.again(); newest.again(); ready.again() }
  return (
    <>
      <div class="spread"><h1>Is my service sending?</h1><button onClick={again}>Look again</button></div>
      <section class="panel pad" aria-label="Service">
        <form class="query" onSubmit={(e) => { e.preventDefault(); setParams({ service: text.trim() || undefined }) }}>
          <input type="text" list="sending-services" style={{ flex: 1, minHeight: '38px' }} aria-label="Name of the service" placeholder="name of the service (service.name)" value={text} onInput={(e) => setText(e.currentTarget.value)} />
          <datalist id="sending-services">{names.answer?.map((x) => <option key={x.name} value={x.name} />)}</datalist>
          <button class="primary">Check</button>
        </form>
      </section>
      <section class="panel pad" aria-label="Checks" style={{ display: 'flex', flexDirection: 'column', gap: '8px' }}>
        <Progress active={names.busy || newest.busy} />
        <Check ok={ready.error ? false : ready.answer ? true : undefined} title="The node is ready">{ready.error && <Failure error={ready.error} />}</Check>
        <Check ok={names.answer ? names.answer.length > 0 : undefined} title={names.answer ? `${formatCount(names.answer.reduce((n, x) => n + x.spans, 0))} spans of ${names.answer.length} services in the last hour` : 'Spans of the last hour'}>
          {names.error ? <Failure error={names.error} retry={names.again} /> : names.answer?.length === 0 && <p class="muted" style={{ margin: '0' }}>Nothing has come{config.value.multitenancy ? ` for the tenant ${params.value.tenant ?? ''}` : ''}. Point an exporter at this node, as below. What is refused is counted and logged with its reason.</p>}
        </Check>
        {service && (
          <>
            <Check ok={names.answer ? found !== undefined : undefined} title={found ? `${showText(service)}: ${formatCount(found.spans)} spans in the last hour` : `Spans of ${showText(service)} in the last hour`}>
              {names.answer && !found && (near.length > 0
                ? <p class="muted" style={{ margin: '0' }}>There is none of this name. Is it one of these? {near.slice(0, 6).map((x) => <a key={x.name} class="pill" style={{ marginRight: '6px' }} href={addressOf('sending', { service: x.name })}>{showText(x.name)}</a>)} {near.some((x) => x.name.startsWith('unknown_service')) && 'SDKs send unknown_service if OTEL_SERVICE_NAME is not set.'}</p>
                : <p class="muted" style={{ margin: '0' }}>There is none of this name, nor of one like it. {last ? `The newest came ${formatDuration(age * 1e6)} ago.` : 'None came in the last day.'}</p>)}
            </Check>
            {last && <Check ok={age < 300_000 && age > -60_000} title={age < -60_000 ? `Its clock is ${formatDuration(-age * 1e6)} ahead of the node's` : `Its newest trace began ${formatDuration(Math.max(0, age) * 1e6)} ago`}>
              {age > 300_000 && <p class="muted" style={{ margin: '0' }}>Nothing in the last five minutes: it may have stopped, do nothing, or sample everything away. If its clock is behind, its spans look old.</p>}
              <a href={addressOf(`trace/${last.traceID.padStart(32, '0')}`)}>Open it</a>
            </Check>}
          </>
        )}
      </section>
      <section class="panel pad" aria-label="How to send"><h2 style={{ marginBottom: '8px' }}>How to send</h2>
        <Snippet title="An SDK, by its environment" text={`export OTEL_SERVICE_NAME=${service || 'my-service'}\nexport OTEL_EXPORTER_OTLP_ENDPOINT=http://${host}:4318\nexport OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf${config.value.multitenancy ? `\nexport OTEL_EXPORTER_OTLP_HEADERS=X-Scope-OrgID=${params.value.tenant ?? 'my-tenant'}` : ''}`} />
        <Snippet title="A Collector" text={`exporters:\n  otlp:\n    endpoint: ${host}:4317\n    tls: {insecure: true}${config.value.multitenancy ? `\n    headers: {X-Scope-OrgID: ${params.value.tenant ?? 'my-tenant'}}` : ''}\nservice:\n  pipelines:\n    traces: {receivers: [otlp], exporters: [otlp]}`} />
        <Snippet title="The demo" text="troupectl load --demo --live" />
        <p class="faint" style={{ margin: '6px 0 0' }}>By default the receivers listen on this machine only; <code>-otlp.grpc-endpoint</code> and <code>-otlp.http-endpoint</code> change that.</p>
      </section>
    </>
  )
}

function Check({ ok, title, children }: { ok: boolean | undefined; title: string; children?: preact.ComponentChildren }) {
  return <div class="check"><span class={ok === undefined ? 'faint' : ok ? 'ok-text' : 'error-text'} aria-label={ok === undefined ? 'not known yet' : ok ? 'right' : 'wrong'} role="img">{ok === undefined ? '…' : ok ? '✓' : '✕'}</span><div style={{ minWidth: '0' }}><div>{title}</div>{children}</div></div>
}

function Snippet({ title, text }: { title: string; text: string }) {
  return <div style={{ marginBottom: '10px' }}><div class="spread"><h3>{title}</h3><button class="plain" onClick={() => copyText(text)}>Copy</button></div><pre class="snippet">{text}</pre></div>
}
