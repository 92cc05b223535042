// What can be written at a place of a query. Names and values come from the node, which reads the
// unfinished query as a filter.

import { getJSON } from '../api/client'
import type { TagNames, TagValues } from '../api/types'
import { expectedAt } from './expect'
import { writeField, writeString } from './tokens'
import { functions, intrinsics } from './words'

export interface Choice { label: string; insert: string; detail?: string; info?: string; rank: number }
export interface Place { from: number; choices: Choice[] }

const cache = new Map<string, { at: number; answer: Promise<unknown> }>()

function cached<T>(path: string, given: Record<string, string>): Promise<T> {
  const key = path + JSON.stringify(given)
  const c = cache.get(key)
  if (c && Date.now() - c.at < 60_000) return c.answer as Promise<T>
  const answer = getJSON<T>(path, given)
  answer.catch(() => cache.delete(key))
  cache.set(key, { at: Date.now(), answer })
  if (cache.size > 200) cache.delete(cache.keys().next().value!)
  return answer
}

export function tagNames(given: Record<string, string>): Promise<TagNames> { return cached('/api/v2/search/tags', given) }
export function tagValues(field: string, given: Record<string, string>): Promise<TagValues> {
  return cached(`/api/v2/search/tag/${encodeURIComponent(field)}/values`, { ...given, limit: '200' })
}

/** The choices at a place. time holds the parameters of the range. */
export async function completeAt(query: string, at: number, time: Record<string, string>): Promise<Place> {
  const e = expectedAt(query, at)
  switch (e.what) {
    case 'stage': return {
      from: e.from,
      choices: [
        { label: '{ … }', insert: '{ ', detail: 'spans', rank: 2 },
        ...functions.map((f) => ({ label: f.name, insert: f.name + f.rest, detail: f.metrics ? 'metrics' : 'stage', info: f.info, rank: f.metrics ? 1 : 0 })),
      ],
    }
    case 'operator': return { from: e.from, choices: ['=', '!=', '>', '>=', '<', '<=', '=~', '!~', '&&', '||'].map((o, i) => ({ label: o, insert: o + ' ', rank: 20 - i })) }
    case 'field': {
      const names = await tagNames({ ...time, q: query.slice(0, e.from).trim() })
      const choices: Choice[] = []
      for (const s of names.scopes) for (const tag of s.tags ?? []) choices.push({ label: writeField(s.name, tag), insert: writeField(s.name, tag) + ' ', detail: s.name, rank: rankOf(s.name, tag) })
      for (const i of intrinsics) if (!choices.some((c) => c.label === i)) choices.push({ label: i, insert: i + ' ', detail: 'intrinsic', rank: -1 })
      return { from: e.from, choices }
    }
    case 'value': {
      const values = await tagValues(e.field, { ...time, q: query.slice(0, query.slice(0, e.from).lastIndexOf(e.field)).trim() })
      return {
        from: e.from,
        choices: values.tagValues.map((v) => ({ label: v.value ?? '""', insert: (v.type === 'string' ? writeString(v.value ?? '') : v.value ?? '') + ' ', detail: v.type, rank: 0 })),
      }
    }
  }
}

function rankOf(scope: string, tag: string): number {
  if (tag === 'service.name') return 9
  if (scope === 'intrinsic') return ['name', 'status', 'duration', 'kind'].includes(tag) ? 8 : 1
  return scope === 'span' ? 5 : scope === 'resource' ? 4 : 2
}
