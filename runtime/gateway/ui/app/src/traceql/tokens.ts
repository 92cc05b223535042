// Splits TraceQL into tokens, for colours, for completion, and to tell a metrics query from a search.

import { functions, intrinsics, keywords } from './words'

export type TokenKind = 'space' | 'comment' | 'field' | 'intrinsic' | 'keyword' | 'function' | 'string' | 'number' | 'operator' | 'bracket' | 'word' | 'error'
export interface Token { kind: TokenKind; from: number; to: number; text: string }

const ends = /[\s{}()=~!<>&|^,]/
const attribute = /^(?:parent\.(?:span\.|resource\.)?|span\.|resource\.|event\.|link\.|instrumentation\.|\.)/
const scoped = /^(?:trace|span|event|link|resource|instrumentation):\s*[A-Za-z]+/
const duration = /^[0-9][0-9.]*(?:ns|us|µs|μs|ms|[smhdwy])(?:[0-9.]+(?:ns|us|µs|μs|ms|[smhdwy]))*(?![A-Za-z0-9_])/
const number = /^(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?/
const operator = /^(?:&>>|&<<|&>|&<|&~|!>>|!<<|!>|!<|!~|!=|=~|<=|>=|>>|<<|&&|\|\||[=<>~!+\-*/%^|,])/
const names = new Set(functions.map((f) => f.name))
const plain = new Set([...intrinsics, 'parent'])
const words = new Set(keywords)

/** Reads the token that starts at a place. inString says that the text before ended inside a raw string or comment. */
export function tokenAt(text: string, at: number): Token {
  const rest = text.slice(at)
  const token = (kind: TokenKind, n: number): Token => ({ kind, from: at, to: at + n, text: rest.slice(0, n) })
  const space = /^\s+/.exec(rest)
  if (space) return token('space', space[0].length)
  if (rest.startsWith('//')) return token('comment', /^[^\n]*/.exec(rest)![0].length)
  if (rest.startsWith('/*')) { const e = rest.indexOf('*/', 2); return token('comment', e < 0 ? rest.length : e + 2) }
  if (rest[0] === '"') {
    const m = /^"(?:[^"\\\n]|\\.)*"/.exec(rest)
    return m ? token('string', m[0].length) : token('error', /^"(?:[^"\\\n]|\\.)*/.exec(rest)![0].length)
  }
  if (rest[0] === '`') { const e = rest.indexOf('`', 1); return e < 0 ? token('error', rest.length) : token('string', e + 1) }
  const before = text[at - 1]
  const lead = /^\.[0-9]/.test(rest) && valueIsExpected(text, at) ? null : attribute.exec(rest)
  if (lead && (lead[0] !== '.' || before === undefined || !/[A-Za-z0-9_]/.test(before))) {
    const n = attributeEnd(rest, lead[0].length)
    return token(n === lead[0].length ? 'error' : 'field', n)
  }
  const sc = scoped.exec(rest)
  if (sc) return token(plain.has(sc[0].replace(/\s/g, '')) ? 'intrinsic' : 'error', sc[0].length)
  const d = duration.exec(rest)
  if (d) return token('number', d[0].length)
  const num = number.exec(rest)
  if (num) return token('number', num[0].length)
  const word = /^[A-Za-z_][A-Za-z0-9_]*/.exec(rest)
  if (word) {
    const w = word[0]
    if (names.has(w)) return token('function', w.length)
    if (plain.has(w)) return token('intrinsic', w.length)
    if (words.has(w)) return token('keyword', w.length)
    return token('word', w.length)
  }
  if (/^[{}()]/.test(rest)) return token('bracket', 1)
  const op = operator.exec(rest)
  if (op) return token('operator', op[0].length)
  return token('error', 1)
}

/** Where a value is expected, .5 is a number and not a field. */
function valueIsExpected(text: string, at: number): boolean {
  return /(?:[=<>~!+\-*/%^(,]|^)\s*$/.test(text.slice(0, at)) && !/^\.[0-9]+[A-Za-z_]/.test(text.slice(at))
}

function attributeEnd(rest: string, from: number): number {
  let i = from
  while (i < rest.length && !ends.test(rest[i])) {
    if (rest[i] !== '"') { i++; continue }
    i++
    while (i < rest.length && rest[i] !== '"') i += rest[i] === '\\' ? 2 : 1
    i++
  }
  return Math.min(i, rest.length)
}

export function tokenize(text: string): Token[] {
  const out: Token[] = []
  for (let at = 0; at < text.length;) {
    const t = tokenAt(text, at)
    out.push(t)
    at = t.to
  }
  return out
}

/** Reports whether the query gives series: it has a function of metrics outside of braces. */
export function isMetrics(text: string): boolean {
  let braces = 0
  for (const t of tokenize(text)) {
    if (t.text === '{') braces++
    else if (t.text === '}') braces--
    else if (t.kind === 'function' && braces === 0 && functions.find((f) => f.name === t.text)?.metrics) return true
  }
  return false
}

/** A field as it is written in a query; names with odd characters are quoted. */
export function writeField(scope: string, name: string): string {
  const plainName = name !== '' && ![...name].some((c) => ends.test(c) || c === '"')
  const text = plainName ? name : `"${name.replace(/[\\"]/g, '\\$&')}"`
  return scope === 'intrinsic' ? name : `${scope ? scope + '.' : '.'}${text}`
}

export function writeString(s: string): string {
  return JSON.stringify(s).replace(/\\\//g, '/')
}

/** Joins a condition to a query of one filter; any other query gets a filter more. */
export function addCondition(query: string, condition: string): string {
  const t = tokenize(query.trim() || '{ }').filter((x) => x.kind !== 'space')
  const simple = t.length >= 2 && t[0].text === '{' && t[t.length - 1].text === '}' && t.filter((x) => x.text === '{').length === 1
  if (!simple) {
    const first = firstFilter(query)
    return first ? query.slice(0, first.from) + addCondition(query.slice(first.from, first.to), condition) + query.slice(first.to) : `{ ${condition} }`
  }
  const inside = query.trim().slice(1, -1).trim()
  if (!inside || inside === 'true') return `{ ${condition} }`
  return t.some((x) => x.text === '||') ? `{ (${inside}) && ${condition} }` : `{ ${inside} && ${condition} }`
}

function firstFilter(query: string): { from: number; to: number } | undefined {
  let from = -1
  for (const t of tokenize(query)) {
    if (t.text === '{' && from < 0) from = t.from
    if (t.text === '}' && from >= 0) return { from, to: t.to }
  }
  return undefined
}

/** Takes the last condition of a query of one filter away; undefined where there is none to take. */
export function dropCondition(query: string): string | undefined {
  const t = tokenize(query)
  if (t.filter((x) => x.text === '{').length !== 1 || t.some((x) => x.text === '||')) return undefined
  let depth = 0
  for (let i = t.length - 1; i >= 0; i--) {
    if (t[i].text === ')') depth++
    else if (t[i].text === '(') depth--
    else if (t[i].text === '&&' && depth === 0) {
      const close = t.findLast((x) => x.text === '}')!
      return query.slice(0, t[i].from).trimEnd() + ' ' + query.slice(close.from)
    }
  }
  return undefined
}
