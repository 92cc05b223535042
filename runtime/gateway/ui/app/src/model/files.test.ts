import { expect, test } from 'vitest'
import { readTraceFile } from './files'
import { TraceBuffer } from './otlp'
import { writeOTLP } from './otlpjson'

const encode = (v: unknown) => new TextEncoder().encode(typeof v === 'string' ? v : JSON.stringify(v))
const id = '0102030405060708090a0b0c0d0e0f10'

const otlp = {
  resourceSpans: [{
    resource: { attributes: [{ key: 'service.name', value: { stringValue: 'shop' } }] },
    scopeSpans: [{
      scope: { name: 'lib' },
      spans: [
        { traceId: id, spanId: '00000000000000aa', name: 'root', kind: 2, startTimeUnixNano: '1000', endTimeUnixNano: '9000', attributes: [{ key: 'n', value: { intValue: '5' } }, { key: 'd', value: { doubleValue: 2 } }, { key: 'l', value: { arrayValue: { values: [{ boolValue: false }] } } }], status: { code: 2, message: 'boom' } },
        { traceId: id, spanId: '00000000000000bb', parentSpanId: '00000000000000aa', name: 'child', kind: 'SPAN_KIND_CLIENT', startTimeUnixNano: '2000', endTimeUnixNano: '3000', events: [{ timeUnixNano: '2500', name: 'e' }], links: [{ traceId: id, spanId: '00000000000000aa' }] },
      ],
    }],
  }],
}

async function pack(b: Uint8Array): Promise<Uint8Array> {
  return new Uint8Array(await new Response(new Blob([b as Uint8Array<ArrayBuffer>]).stream().pipeThrough(new CompressionStream('gzip'))).arrayBuffer())
}

async function open(bytes: Uint8Array) {
  const f = await readTraceFile(bytes)
  const b = TraceBuffer.read(f.traces[0].bytes, true)
  return { form: f.form, traces: f.traces, b, t: b.columns }
}

test('OTLP JSON, packed, by line, as an answer of the API', async () => {
  for (const bytes of [encode(otlp), await pack(encode(otlp)), encode(JSON.stringify(otlp) + '\n' + JSON.stringify({ resourceSpans: [] })), encode({ trace: otlp }), encode({ batches: otlp.resourceSpans })]) {
    const { form, t, b } = await open(bytes)
    expect([form, t.traceID, t.count, t.services.at(t.service[0]), t.parent[1], t.status[0], t.kind[1]]).toEqual(['OTLP JSON', id, 2, 'shop', 0, 2, 3])
    expect(b.detail(0).attributes.map((a) => a.value)).toEqual([5, { double: 2 }, { list: [false] }])
    expect([b.detail(1).events[0].name, b.detail(1).links[0].spanID, b.detail(0).message]).toEqual(['e', '00000000000000aa', 'boom'])
  }
})

test('what is downloaded can be opened again', async () => {
  const { b } = await open(encode(otlp))
  const again = await open(encode(writeOTLP(b.bytes)))
  expect(writeOTLP(again.b.bytes)).toBe(writeOTLP(b.bytes))
  expect((await open(b.bytes)).form).toBe('OTLP protobuf')
})

test('Jaeger', async () => {
  const { form, t, b } = await open(encode({ data: [{ traceID: id, processes: { p1: { serviceName: 'shop', tags: [{ key: 'host', type: 'string', value: 'h' }] } }, spans: [
    { traceID: id, spanID: 'aa', operationName: 'root', references: [], startTime: 1000, duration: 50, processID: 'p1', tags: [{ key: 'span.kind', type: 'string', value: 'server' }, { key: 'error', type: 'bool', value: true }], logs: [{ timestamp: 1010, fields: [{ key: 'event', type: 'string', value: 'hit' }] }] },
    { traceID: id, spanID: 'bb', operationName: 'child', references: [{ refType: 'CHILD_OF', traceID: id, spanID: 'aa' }], startTime: 1010, duration: 5, processID: 'p1', tags: [] },
  ] }] }))
  expect([form, t.count, t.parent[1], t.duration[0], t.status[0], t.kind[0], b.detail(0).events[0].name, b.detail(0).resource.length]).toEqual(['Jaeger JSON', 2, 0, 50_000, 2, 2, 'hit', 2])
})

test('Zipkin, with two traces', async () => {
  const span = (traceId: string, i: string, parentId?: string) => ({ traceId, id: i, parentId, name: 'get', kind: 'CLIENT', timestamp: 1000, duration: 10, localEndpoint: { serviceName: 'shop' }, tags: { error: 'bad', a: 'b' } })
  const { form, traces, t } = await open(encode([span('1', 'aa'), span('2', 'bb'), span('2', 'cc', 'bb')]))
  expect([form, traces.length, traces[0].spans, traces[0].traceID, t.status[0], t.parent[1]]).toEqual(['Zipkin JSON', 2, 2, '2'.padStart(32, '0'), 2, 0])
})

test.each([['nothing', ''], ['text', 'hello'], ['JSON of something else', '{"a":1}'], ['broken JSON', '{"resourceSpans":['], ['an empty request', '{"resourceSpans":[]}'], ['broken gzip', '\u001f\u008b']])('%s is refused with a reason', async (_, s) => {
  const bytes = s.startsWith('\u001f') ? new Uint8Array([0x1f, 0x8b, 1, 2]) : encode(s)
  await expect(readTraceFile(bytes)).rejects.toThrow(/file|JSON|gzip|protobuf/)
})
