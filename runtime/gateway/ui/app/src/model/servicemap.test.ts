import { expect, test } from 'vitest'
import { chooseDrawn, edgesAround, type Edge } from './servicemap'

const edge = (client: string, server: string, count = 1): Edge => ({ client, server, kind: 'call', count, errors: 0, p50: 0, p95: 0, p99: 0 })
const names = (edges: Edge[]) => edges.map((e) => e.client + e.server).join(' ')

test('a focus shows who calls it and whom it calls, some steps far, and no strangers', () => {
  const all = [edge('a', 'b'), edge('b', 'c'), edge('c', 'd'), edge('x', 'c'), edge('d', 'a')]
  expect(names(edgesAround(all, '', 1))).toBe('ab bc cd xc da')
  expect(names(edgesAround(all, 'b', 1))).toBe('ab bc')
  expect(names(edgesAround(all, 'b', 2))).toBe('ab bc cd da')
  expect(names(edgesAround(all, 'b', 9))).toBe('ab bc cd xc da') // x calls c, which leads to b
  expect(names(edgesAround([edge('a', 'a')], 'a', 1))).toBe('aa')
  expect(names(edgesAround(all, 'nobody', 3))).toBe('')
})

test('of many services those with the most calls are drawn, and the focus', () => {
  const all = Array.from({ length: 100 }, (_, i) => edge('hub', `s${i}`, 100 - i))
  const d = chooseDrawn(all, 's99', 10)
  expect(d.services).toHaveLength(10)
  expect(d.services).toContain('s99')
  expect(d.leftOut).toBe(91)
  expect(names(d.edges)).toBe('hubs0 hubs1 hubs2 hubs3 hubs4 hubs5 hubs6 hubs7 hubs99')
  expect(chooseDrawn(all.slice(0, 50), '', 200)).toMatchObject({ leftOut: 0, thin: 0 })
  expect(chooseDrawn(all, '', 200)).toMatchObject({ leftOut: 20, thin: 20 }) // 80 lines are drawn
})
