import { expect, test } from 'vitest'
import cases from '../../../../../engine/traceql/testdata/semantics.yaml?raw'
import { expectedAt } from './expect'
import { readConditions, setCondition } from './form'
import { addCondition, dropCondition, isMetrics, tokenize, writeField } from './tokens'

/** Queries that the language accepts, from the cases of its own tests. */
function validQueries(): string[] {
  const out: string[] = []
  for (const m of cases.matchAll(/^\s*- \{stage: ok, query: ("(?:[^"\\]|\\.)*"|'(?:[^']|'')*')/gm)) {
    out.push(m[1][0] === '"' ? JSON.parse(m[1]) as string : m[1].slice(1, -1).replace(/''/g, "'"))
  }
  return out
}

test('every token of a query that is accepted has a kind', () => {
  const queries = validQueries()
  expect(queries.length).toBeGreaterThan(100)
  for (const q of queries) {
    const t = tokenize(q)
    expect(t.map((x) => x.text).join('')).toBe(q)
    expect(t.filter((x) => x.kind === 'error'), q).toEqual([])
  }
})

test('tokens end, whatever the text', () => {
  for (const q of ['"', '`', '/*', 'span.', 'span."', '{ .a = "\\', '\u0000', '&', '}}}{{', 'duration > 1d1']) expect(tokenize(q).map((t) => t.text).join('')).toBe(q)
})

test('a metrics query is told from a search', () => {
  expect(isMetrics('{ } | rate()')).toBe(true)
  expect(isMetrics('({ } | rate()) / ({ } | count_over_time())')).toBe(true)
  expect(isMetrics('{ name = "rate()" }')).toBe(false)
  expect(isMetrics('{ .rate = 1 } | count() > 2')).toBe(false)
})

test('conditions join a query without changing its meaning', () => {
  expect(addCondition('', 'a = 1')).toBe('{ a = 1 }')
  expect(addCondition('{ }', 'a = 1')).toBe('{ a = 1 }')
  expect(addCondition('{ status = error }', 'kind = server')).toBe('{ status = error && kind = server }')
  expect(addCondition('{ .a = 1 || .b = 2 }', 'kind = server')).toBe('{ (.a = 1 || .b = 2) && kind = server }')
  expect(addCondition('{ .a = 1 } >> { .b = 2 }', 'kind = server')).toBe('{ .a = 1 && kind = server } >> { .b = 2 }')
  expect(dropCondition('{ .a = 1 && .b = 2 }')).toBe('{ .a = 1 }')
  expect(dropCondition('{ .a = 1 }')).toBeUndefined()
})

test('the form shows what it can write back', () => {
  expect(readConditions('{ resource.service.name = "a b" && duration >= 100ms }')).toEqual([{ field: 'resource.service.name', op: '=', value: 'a b' }, { field: 'duration', op: '>=', value: '100ms' }])
  expect(readConditions('{ .a = 1 || .b = 2 }')).toBeUndefined()
  expect(readConditions('{ } >> { }')).toBeUndefined()
  expect(setCondition('{ }', { field: 'status', op: '=', value: 'error' })).toBe('{ status = error }')
  expect(setCondition('{ status = error && name = "x" }', { field: 'status', op: '=', value: '' })).toBe('{ name = "x" }')
  expect(setCondition('{ duration >= 1s && duration <= 2s }', { field: 'duration', op: '>=', value: '5ms' })).toBe('{ duration >= 5ms && duration <= 2s }')
  expect(setCondition('', { field: 'resource.service.name', op: '=', value: 'say "hi"' })).toBe('{ resource.service.name = "say \\"hi\\"" }')
})

test('what is expected at a place', () => {
  const at = (q: string) => expectedAt(q, q.length)
  expect(at('{ ')).toMatchObject({ what: 'field', from: 2 })
  expect(at('{ resource.ser')).toMatchObject({ what: 'field', from: 2 })
  expect(at('{ status = ')).toMatchObject({ what: 'value', field: 'status' })
  expect(at('{ resource.service.name = "ca')).toMatchObject({ what: 'value', field: 'resource.service.name', from: 26 })
  expect(at('{ status ')).toMatchObject({ what: 'operator' })
  expect(at('{ } | ')).toMatchObject({ what: 'stage' })
  expect(at('{ } | rate() by (')).toMatchObject({ what: 'field' })
})

test('odd names are quoted', () => {
  expect(writeField('span', 'http.route')).toBe('span.http.route')
  expect(writeField('span', 'a b')).toBe('span."a b"')
  expect(writeField('', 'x')).toBe('.x')
})
