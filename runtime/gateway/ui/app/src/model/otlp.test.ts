import { expect, test } from 'vitest'
import { TraceBuffer, writeValue } from './otlp'
import { writeOTLP } from './otlpjson'
import { nameOf, serviceOf, spanID } from './trace'

/** Writes protobuf by hand, so that the reader is judged by something other than itself. */
class Writer {
  out: number[] = []
  varint(v: bigint | number): this { let n = BigInt.asUintN(64, BigInt(v)); do { const b = Number(n & 127n); n >>= 7n; this.out.push(n ? b | 128 : b) } while (n); return this }
  tag(field: number, kind: number): this { return this.varint(field * 8 + kind) }
  int(field: number, v: bigint | number): this { return this.tag(field, 0).varint(v) }
  raw(field: number, b: ArrayLike<number>): this { this.tag(field, 2).varint(b.length); for (let i = 0; i < b.length; i++) this.out.push(b[i]); return this }
  text(field: number, s: string): this { return this.raw(field, new TextEncoder().encode(s)) }
  hex(field: number, s: string): this { return this.raw(field, s.match(/../g)!.map((h) => parseInt(h, 16))) }
  message(field: number, w: Writer): this { return this.raw(field, w.out) }
  fixed(field: number, v: bigint): this { this.tag(field, 1); for (let i = 0n; i < 64n; i += 8n) this.out.push(Number((v >> i) & 255n)); return this }
  double(field: number, v: number): this { this.tag(field, 1); this.out.push(...new Uint8Array(new Float64Array([v]).buffer)); return this }
}
const w = () => new Writer()
const attribute = (key: string, value: Writer) => w().text(1, key).message(2, value)

const trace = '0102030405060708090a0b0c0d0e0f10'
function span(id: string, parent: string, name: string, start: bigint, end: bigint): Writer {
  const s = w().hex(1, trace).hex(2, id)
  if (parent) s.hex(4, parent)
  return s.text(5, name).int(6, 2).fixed(7, start).fixed(8, end)
}

const whole = w().message(1, w()
  .message(1, w().message(1, attribute('service.name', w().text(1, 'käse'))).message(1, attribute('n', w().int(3, -5))))
  .message(2, w().message(1, w().text(1, 'lib').text(2, '1.0'))
    .message(2, span('00000000000000aa', '', 'root', 1_000_000_000n, 1_000_000_500n)
      .message(9, attribute('big', w().int(3, 9007199254740993n))).message(9, attribute('pi', w().double(4, 3))).message(9, attribute('b', w().raw(7, [1, 255])))
      .message(9, attribute('list', w().message(5, w().message(1, w().text(1, 'x')).message(1, w().int(2, 1))))).message(9, attribute('map', w().message(6, w().message(1, attribute('k', w().int(3, 1)))))).message(9, attribute('none', w()))
      .message(11, w().fixed(1, 1_000_000_100n).text(2, 'event').message(3, attribute('e', w().text(1, 'v')))).message(13, w().hex(1, trace).hex(2, '00000000000000bb'))
      .message(15, w().text(2, 'boom').int(3, 2)).int(99, 7))
    .message(2, span('00000000000000bb', '00000000000000aa', 'child', 1_000_000_100n, 1_000_000_200n))))

const answer = new Uint8Array(w().message(1, whole).int(1001, 0).text(1002, 'a block is missing').text(4, 'cut').out)

test('columns of an answer', () => {
  const b = TraceBuffer.read(answer), t = b.columns
  expect([t.traceID, t.count, t.total, t.origin]).toEqual([trace, 2, 500, 1_000_000_000n])
  expect([t.complete, t.warnings, t.message]).toEqual([false, ['a block is missing'], 'cut'])
  expect([spanID(t, 0), spanID(t, 1)]).toEqual(['00000000000000aa', '00000000000000bb'])
  expect([...t.parent]).toEqual([-1, 0])
  expect(serviceOf(t, 1)).toBe('käse')
  expect([nameOf(t, 0), t.status[0], t.flags[0]]).toEqual(['root', 2, 3])
})

test('everything that a span says', () => {
  const d = TraceBuffer.read(answer).detail(0)
  expect(d.attributes.map((a) => [a.key, writeValue(a.value)])).toEqual([['big', '9007199254740993'], ['pi', '3'], ['b', '0x01ff'], ['list', '["x", true]'], ['map', '{"k": 1}'], ['none', 'null']])
  expect([d.message, d.status, d.events[0].name, d.links[0].spanID, d.scope.name, d.resource.length]).toEqual(['boom', 2, 'event', '00000000000000bb', 'lib', 2])
})

test('text is found in names, attributes, resources and ids, whatever its capitals', () => {
  const b = TraceBuffer.read(answer)
  expect([...b.find('CHILD')]).toEqual([1])
  expect([...b.find('käse')]).toEqual([0, 1])
  expect([...b.find('boom')]).toEqual([0])
  expect([...b.find('00bb')]).toEqual([1])
  expect([...b.find('nowhere')]).toEqual([])
})

test('OTLP JSON keeps types and hexadecimal ids', () => {
  const j = JSON.parse(writeOTLP(new Uint8Array(whole.out)))
  const s = j.resourceSpans[0].scopeSpans[0].spans[0]
  expect([s.traceId, s.spanId, s.startTimeUnixNano]).toEqual([trace, '00000000000000aa', '1000000000'])
  expect(s.attributes[1].value).toEqual({ doubleValue: 3 })
  expect(s.attributes[0].value).toEqual({ intValue: '9007199254740993' })
  expect(s.attributes[2].value).toEqual({ bytesValue: 'Af8=' })
  expect(j.resourceSpans[0].scopeSpans[0].spans).toHaveLength(2)
})

test('every cut of an answer is read or refused, and ends', () => {
  for (let n = 0; n < answer.length; n++) {
    try { const b = TraceBuffer.read(answer.slice(0, n)); for (let r = 0; r < b.columns.count; r++) b.detail(r) } catch (e) { expect(e).toBeInstanceOf(RangeError) }
  }
  for (let i = 0; i < 3000; i++) {
    const c = answer.slice()
    c[(i * 7919) % c.length] = (i * 31) & 255
    try { const b = TraceBuffer.read(c); for (let r = 0; r < b.columns.count; r++) b.detail(r) } catch (e) { expect(e).toBeInstanceOf(RangeError) }
  }
})
