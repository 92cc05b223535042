// Files that people have: OTLP as JSON, a request a line, or protobuf; what Jaeger and Zipkin export.
// Each is read into spans and written as protobuf, so that a file is shown as an answer is.

import { TraceBuffer, type Attribute, type SpanDetail, type Value } from './otlp'

export interface FileTrace { traceID: string; spans: number; bytes: Uint8Array }

/** Reads a file and returns its traces, the largest first. It throws an Error that says what is wrong. */
export async function readTraceFile(bytes: Uint8Array): Promise<{ form: string; traces: FileTrace[] }> {
  if (bytes[0] === 0x1f && bytes[1] === 0x8b) bytes = await unpack(bytes)
  const first = bytes.findIndex((b) => b > 32)
  const json = bytes[first] === 0x7b || bytes[first] === 0x5b
  const { form, spans } = json ? readJSON(new TextDecoder().decode(bytes)) : readProtobuf(bytes)
  if (spans.length === 0) throw new Error('The file has no spans.')
  const by = new Map<string, SpanDetail[]>()
  for (const s of spans) { const l = by.get(s.traceID); if (l) l.push(s); else by.set(s.traceID, [s]) }
  const traces = [...by].map(([traceID, list]) => ({ traceID, spans: list.length, bytes: writeTrace(list) })).sort((a, b) => b.spans - a.spans || (a.traceID < b.traceID ? -1 : 1))
  return { form, traces }
}

async function unpack(bytes: Uint8Array): Promise<Uint8Array> {
  const stream = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream().pipeThrough(new DecompressionStream('gzip'))
  try { return new Uint8Array(await new Response(stream).arrayBuffer()) } catch { throw new Error('The file begins as gzip does, and is broken.') }
}

function readProtobuf(bytes: Uint8Array): { form: string; spans: SpanDetail[] } {
  try {
    const b = TraceBuffer.read(bytes, true)
    return { form: 'OTLP protobuf', spans: Array.from({ length: b.columns.count }, (_, r) => b.detail(r)) }
  } catch { throw new Error('This is neither JSON nor OTLP protobuf.') }
}

type J = Record<string, unknown>
const list = (v: unknown): J[] => (Array.isArray(v) ? v.filter((x): x is J => typeof x === 'object' && x !== null) : [])
const object = (v: unknown): J => (typeof v === 'object' && v !== null && !Array.isArray(v) ? v as J : {})
const text = (v: unknown): string => (v === undefined || v === null ? '' : String(v))
const whole = (v: unknown): bigint => { try { return v === undefined || v === null || v === '' ? 0n : typeof v === 'number' ? BigInt(Math.round(v)) : BigInt(text(v)) } catch { return 0n } }

function readJSON(source: string): { form: string; spans: SpanDetail[] } {
  let parts: unknown[]
  try { parts = [JSON.parse(source)] } catch (whole) {
    try { parts = source.split('\n').filter((l) => l.trim()).map((l) => JSON.parse(l)) } catch { throw new Error(`The JSON cannot be read: ${(whole as Error).message}`) }
  }
  const spans: SpanDetail[] = []
  let form = ''
  for (const p of parts) {
    const o = object(p)
    const groups = o.resourceSpans ?? o.batches ?? object(o.trace).resourceSpans ?? object(o.trace).batches
    if (groups) { form = 'OTLP JSON'; spans.push(...readOTLP(list(groups))) }
    else if (o.data) { form = 'Jaeger JSON'; for (const t of list(o.data)) spans.push(...readJaeger(t)) }
    else if (o.spans && o.processes) { form = 'Jaeger JSON'; spans.push(...readJaeger(o)) }
    else if (Array.isArray(p) && list(p).every((s) => s.traceId && s.id)) { form = 'Zipkin JSON'; spans.push(...list(p).map(readZipkin)) }
    else if (Array.isArray(p)) { for (const q of list(p)) { const g = q.resourceSpans ?? q.batches; if (g) { form = 'OTLP JSON'; spans.push(...readOTLP(list(g))) } } }
  }
  if (!form) throw new Error('This JSON is of no form that is known: OTLP has resourceSpans, Jaeger has data, Zipkin is a list of spans.')
  return { form, spans }
}

/** An id in hexadecimal, or in base64 as answers of the query API have it; digits is how many it has. */
function readID(v: unknown, digits: number): string {
  const t = text(v)
  if (t === '') return ''
  if (/^[0-9a-fA-F]+$/.test(t) && t.length <= digits) return t.toLowerCase().padStart(digits, '0')
  try { return Array.from(atob(t), (c) => c.charCodeAt(0).toString(16).padStart(2, '0')).join('').padStart(digits, '0').slice(0, digits) } catch { return '' }
}

const kindNames = ['UNSPECIFIED', 'INTERNAL', 'SERVER', 'CLIENT', 'PRODUCER', 'CONSUMER']
const readKind = (v: unknown): number => (typeof v === 'number' ? v : Math.max(0, kindNames.indexOf(text(v).replace('SPAN_KIND_', '').toUpperCase())))
const readCode = (v: unknown): number => (typeof v === 'number' ? v : Math.max(0, ['UNSET', 'OK', 'ERROR'].indexOf(text(v).replace('STATUS_CODE_', '').toUpperCase())))

function readAttributes(v: unknown): Attribute[] { return list(v).map((a) => ({ key: text(a.key), value: readValue(object(a.value)) })) }

function readValue(v: J): Value {
  if ('stringValue' in v) return text(v.stringValue)
  if ('boolValue' in v) return v.boolValue === true || v.boolValue === 'true'
  if ('intValue' in v) { const i = whole(v.intValue); return i >= -9007199254740991n && i <= 9007199254740991n ? Number(i) : i }
  if ('doubleValue' in v) return { double: Number(v.doubleValue) }
  if ('arrayValue' in v) return { list: list(object(v.arrayValue).values).map(readValue) }
  if ('kvlistValue' in v) return { map: readAttributes(object(v.kvlistValue).values) }
  if ('bytesValue' in v) return { bytes: readID(v.bytesValue, 0) || Array.from(atob(text(v.bytesValue)), (c) => c.charCodeAt(0).toString(16).padStart(2, '0')).join('') }
  return null
}

function readOTLP(groups: J[]): SpanDetail[] {
  const out: SpanDetail[] = []
  for (const g of groups) {
    const resource = readAttributes(object(g.resource).attributes)
    for (const s of list(g.scopeSpans ?? g.instrumentationLibrarySpans)) {
      const of = object(s.scope ?? s.instrumentationLibrary)
      const scope = { name: text(of.name), version: text(of.version), attributes: readAttributes(of.attributes) }
      for (const x of list(s.spans)) {
        const status = object(x.status)
        out.push({
          ...emptySpan(), traceID: readID(x.traceId, 32), id: readID(x.spanId, 16), parentID: readID(x.parentSpanId, 16), state: text(x.traceState), flags: Number(x.flags ?? 0), name: text(x.name), kind: readKind(x.kind),
          start: whole(x.startTimeUnixNano), end: whole(x.endTimeUnixNano), attributes: readAttributes(x.attributes), status: readCode(status.code), message: text(status.message), resource, scope,
          events: list(x.events).map((e) => ({ time: whole(e.timeUnixNano), name: text(e.name), attributes: readAttributes(e.attributes), dropped: 0 })),
          links: list(x.links).map((l) => ({ traceID: readID(l.traceId, 32), spanID: readID(l.spanId, 16), state: text(l.traceState), attributes: readAttributes(l.attributes), dropped: 0 })),
        })
      }
    }
  }
  return out
}

function emptySpan(): SpanDetail {
  return { traceID: '', id: '', parentID: '', state: '', flags: 0, name: '', kind: 0, start: 0n, end: 0n, status: 0, message: '', attributes: [], dropped: 0, events: [], droppedEvents: 0, links: [], droppedLinks: 0, resource: [], scope: { name: '', version: '', attributes: [] } }
}

const jaegerTag = (t: J): Attribute => {
  const v = t.value
  const value: Value = t.type === 'bool' ? v === true || v === 'true' : t.type === 'int64' ? Number(v) : t.type === 'float64' ? { double: Number(v) } : text(v)
  return { key: text(t.key), value }
}

function readJaeger(t: J): SpanDetail[] {
  const processes = object(t.processes)
  return list(t.spans).map((s) => {
    const process = object(s.process ?? processes[text(s.processID)])
    const tags = list(s.tags)
    const tag = (key: string) => tags.find((x) => x.key === key)?.value
    const references = list(s.references)
    const parent = references.find((r) => r.refType === 'CHILD_OF' && r.traceID === s.traceID) ?? references[0]
    const start = whole(s.startTime) * 1000n
    return {
      ...emptySpan(), traceID: readID(s.traceID, 32), id: readID(s.spanID, 16), parentID: readID(parent?.spanID ?? s.parentSpanID, 16), name: text(s.operationName),
      kind: readKind(tag('span.kind')), start, end: start + whole(s.duration) * 1000n, attributes: tags.map(jaegerTag),
      status: tag('error') === true || tag('error') === 'true' || text(tag('otel.status_code')).toUpperCase() === 'ERROR' ? 2 : 0, message: text(tag('otel.status_description')),
      resource: [{ key: 'service.name', value: text(process.serviceName) }, ...list(process.tags).map(jaegerTag)],
      events: list(s.logs).map((l) => { const f = list(l.fields); const name = f.find((x) => x.key === 'event'); return { time: whole(l.timestamp) * 1000n, name: text(name?.value ?? 'log'), attributes: f.filter((x) => x !== name).map(jaegerTag), dropped: 0 } }),
      links: references.filter((r) => r !== parent).map((r) => ({ traceID: readID(r.traceID, 32), spanID: readID(r.spanID, 16), state: '', attributes: [], dropped: 0 })),
    }
  })
}

function readZipkin(s: J): SpanDetail {
  const tags = object(s.tags)
  const start = whole(s.timestamp) * 1000n
  return {
    ...emptySpan(), traceID: readID(s.traceId, 32), id: readID(s.id, 16), parentID: readID(s.parentId, 16), name: text(s.name), kind: readKind(s.kind), start, end: start + whole(s.duration) * 1000n,
    attributes: Object.entries(tags).map(([key, v]) => ({ key, value: text(v) })), status: 'error' in tags ? 2 : 0, message: text(tags.error),
    resource: [{ key: 'service.name', value: text(object(s.localEndpoint).serviceName) }],
    events: list(s.annotations).map((a) => ({ time: whole(a.timestamp) * 1000n, name: text(a.value), attributes: [], dropped: 0 })),
  }
}

/** Writes protobuf into a buffer that grows. */
class Writer {
  private bytes = new Uint8Array(1024)
  private at = 0
  private static encoder = new TextEncoder()
  private need(n: number): void { if (this.at + n > this.bytes.length) { const b = new Uint8Array(Math.max(2 * this.bytes.length, this.at + n)); b.set(this.bytes); this.bytes = b } }
  varint(v: number | bigint): this {
    this.need(10)
    let n = BigInt.asUintN(64, BigInt(v))
    while (n > 127n) { this.bytes[this.at++] = Number(n & 127n) | 128; n >>= 7n }
    this.bytes[this.at++] = Number(n)
    return this
  }
  raw(field: number, b: Uint8Array): this { this.varint(field * 8 + 2).varint(b.length).need(b.length); this.bytes.set(b, this.at); this.at += b.length; return this }
  text(field: number, s: string): this { return s === '' ? this : this.raw(field, Writer.encoder.encode(s)) }
  hex(field: number, s: string): this { return s === '' ? this : this.raw(field, Uint8Array.from(s.match(/../g) ?? [], (h) => parseInt(h, 16))) }
  int(field: number, v: number | bigint): this { return v === 0 || v === 0n ? this : this.varint(field * 8).varint(v) }
  fixed64(field: number, v: bigint): this { this.varint(field * 8 + 1).need(8); new DataView(this.bytes.buffer).setBigUint64(this.at, BigInt.asUintN(64, v), true); this.at += 8; return this }
  double(field: number, v: number): this { this.varint(field * 8 + 1).need(8); new DataView(this.bytes.buffer).setFloat64(this.at, v, true); this.at += 8; return this }
  done(): Uint8Array { return this.bytes.subarray(0, this.at) }
}

function writeValue(v: Value): Uint8Array {
  const w = new Writer()
  if (typeof v === 'string') return w.raw(1, new TextEncoder().encode(v)).done()
  if (typeof v === 'boolean') return w.varint(16).varint(v ? 1 : 0).done()
  if (typeof v === 'number' || typeof v === 'bigint') return w.varint(24).varint(v).done()
  if (v === null) return w.done()
  if ('double' in v) return w.double(4, v.double).done()
  if ('bytes' in v) return w.raw(7, Uint8Array.from(v.bytes.match(/../g) ?? [], (h) => parseInt(h, 16))).done()
  const inner = new Writer()
  if ('list' in v) { for (const x of v.list) inner.raw(1, writeValue(x)); return w.raw(5, inner.done()).done() }
  for (const a of v.map) inner.raw(1, writeAttribute(a))
  return w.raw(6, inner.done()).done()
}

const writeAttribute = (a: Attribute): Uint8Array => new Writer().text(1, a.key).raw(2, writeValue(a.value)).done()

function writeAttributes(w: Writer, field: number, list: Attribute[]): Writer { for (const a of list) w.raw(field, writeAttribute(a)); return w }

function writeSpan(d: SpanDetail): Uint8Array {
  const w = new Writer().hex(1, d.traceID).hex(2, d.id).text(3, d.state).hex(4, /^0*$/.test(d.parentID) ? '' : d.parentID).text(5, d.name).int(6, d.kind).fixed64(7, d.start).fixed64(8, d.end)
  writeAttributes(w, 9, d.attributes)
  for (const e of d.events) w.raw(11, writeAttributes(new Writer().fixed64(1, e.time).text(2, e.name), 3, e.attributes).done())
  for (const l of d.links) w.raw(13, writeAttributes(new Writer().hex(1, l.traceID).hex(2, l.spanID).text(3, l.state), 4, l.attributes).done())
  return w.raw(15, new Writer().text(2, d.message).int(3, d.status).done()).done()
}

function writeTrace(spans: SpanDetail[]): Uint8Array {
  const groups = new Map<string, SpanDetail[]>()
  const key = (d: SpanDetail) => JSON.stringify([d.resource, d.scope], (_, v: unknown) => (typeof v === 'bigint' ? `${v}n` : v))
  for (const d of spans) { const k = key(d), g = groups.get(k); if (g) g.push(d); else groups.set(k, [d]) }
  const out = new Writer()
  for (const g of groups.values()) {
    const scope = new Writer().raw(1, writeAttributes(new Writer().text(1, g[0].scope.name).text(2, g[0].scope.version), 3, g[0].scope.attributes).done())
    for (const d of g) scope.raw(2, writeSpan(d))
    out.raw(1, new Writer().raw(1, writeAttributes(new Writer(), 1, g[0].resource).done()).raw(2, scope.done()).done())
  }
  return out.done()
}
