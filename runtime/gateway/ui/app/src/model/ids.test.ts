import { expect, test } from 'vitest'
import { findTraceID } from './ids'

const id = '4bf92f3577b34da6a3ce929d0e0e4736'

test.each([
  ['32 digits', id],
  ['capitals', id.toUpperCase()],
  ['a traceparent', `00-${id}-00f067aa0ba902b7-01`],
  ['a header line', `traceparent: 00-${id}-00f067aa0ba902b7-01`],
  ['uber-trace-id', `${id}:00f067aa0ba902b7:0:1`],
  ['uber-trace-id, encoded', `uber-trace-id: ${id}%3A00f067aa0ba902b7%3A0%3A1`],
  ['b3', `b3: ${id}-00f067aa0ba902b7-1`],
  ['base64', 'S/kvNXezTaajzpKdDg5HNg=='],
  ['base64 without padding', 'S/kvNXezTaajzpKdDg5HNg'],
  ['base64 of addresses', 'S_kvNXezTaajzpKdDg5HNg'],
  ['an address', `https://grafana.example/explore?trace=${id}&x=1`],
  ['a line of a log', `2026-11-30T10:00:00Z ERROR charge failed trace_id=${id} span_id=00f067aa0ba902b7`],
  ['JSON', `{"level":"error","traceId":"${id}"}`],
  ['a UUID', '4bf92f35-77b3-4da6-a3ce-929d0e0e4736'],
  ['0x before it', `0x${id}`],
])('finds the id in %s', (_, text) => expect(findTraceID(text)).toBe(id))

test('pads short ids', () => {
  expect(findTraceID('a3ce929d0e0e4736')).toBe('0000000000000000a3ce929d0e0e4736')
  expect(findTraceID('trace a3ce929d0e0e4736 failed')).toBe('0000000000000000a3ce929d0e0e4736')
})

test.each(['', 'hello', 'no id here 12', '0'.repeat(32), '{ status = error }'])('finds none in %j', (text) => expect(findTraceID(text)).toBeUndefined())
