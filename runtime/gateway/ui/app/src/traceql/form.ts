// The form beside the editor: a query of one filter whose conditions are joined by && can be read
// into it, and is written back as it was, with the changed condition alone changed.

import { tokenize, writeString, type Token } from './tokens'

export interface Condition { field: string; op: string; value: string }

/** Reads the conditions of a query, or nothing when the form cannot show it. Values are without quotes. */
export function readConditions(query: string): Condition[] | undefined {
  const t = tokenize(query).filter((x) => x.kind !== 'space' && x.kind !== 'comment')
  if (t.length === 0) return []
  if (t[0].text !== '{' || t[t.length - 1].text !== '}') return undefined
  const inside = t.slice(1, -1)
  if (inside.length === 0 || (inside.length === 1 && inside[0].text === 'true')) return []
  const out: Condition[] = []
  for (let i = 0; i < inside.length; i += 4) {
    if (i > 0 && inside[i - 1]?.text !== '&&') return undefined
    const [field, op, value] = inside.slice(i, i + 3)
    if (!value || !isField(field) || op.kind !== 'operator' || !isValue(value)) return undefined
    if (inside[i + 3] && inside[i + 3].text !== '&&') return undefined
    out.push({ field: field.text, op: op.text, value: readLiteral(value) })
  }
  if (inside.length % 4 !== 3) return undefined
  return out
}

const isField = (t: Token) => t.kind === 'field' || t.kind === 'intrinsic'
const isValue = (t: Token) => ['string', 'number', 'keyword'].includes(t.kind)

function readLiteral(t: Token): string {
  if (t.kind !== 'string') return t.text
  if (t.text[0] === '`') return t.text.slice(1, -1)
  try { return JSON.parse(t.text) as string } catch { return t.text.slice(1, -1) }
}

/** Intrinsics and what their literals are; everything else has strings. */
const bare = new Set(['status', 'kind', 'span:status', 'span:kind', 'duration', 'span:duration', 'traceDuration', 'trace:duration', 'nestedSetParent', 'nestedSetLeft', 'nestedSetRight', 'span:childCount', 'event:timeSinceStart'])

/** Writes a condition. Numbers, durations and booleans of attributes stay bare, texts are quoted. */
export function writeCondition(c: Condition): string {
  const number = /^-?[0-9]+(\.[0-9]+)?([a-zµ]+[0-9.a-zµ]*)?$/.test(c.value) || c.value === 'true' || c.value === 'false'
  const literal = bare.has(c.field) || (number && !['name', 'statusMessage', 'rootName', 'rootServiceName', 'span:name', 'resource.service.name'].includes(c.field) && !/=~|!~/.test(c.op)) ? c.value : writeString(c.value)
  return `${c.field} ${c.op} ${literal}`
}

/** Puts a condition into a query: the one with the same field and, of durations, the same direction is replaced; an empty value takes it away. */
export function setCondition(query: string, c: Condition): string {
  const list = readConditions(query) ?? []
  const same = (o: Condition) => o.field === c.field && (!/[<>]/.test(c.op) || o.op[0] === c.op[0])
  const at = list.findIndex(same)
  const next = c.value === '' ? list.filter((o) => !same(o)) : at >= 0 ? list.map((o, i) => (i === at ? c : o)) : [...list, c]
  return next.length === 0 ? '{ }' : `{ ${next.map(writeCondition).join(' && ')} }`
}
