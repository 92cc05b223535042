// What can follow at a place of an unfinished query.

import { tokenize, type Token } from './tokens'

/** What is expected at a place, found from the tokens before it. */
export type Expected =
  | { what: 'field'; from: number }
  | { what: 'value'; from: number; field: string }
  | { what: 'operator'; from: number }
  | { what: 'stage'; from: number }

const comparison = /^(?:=|!=|=~|!~|<=|>=|<|>)$/

export function expectedAt(query: string, at: number): Expected {
  const tokens = tokenize(query.slice(0, at))
  const last = tokens[tokens.length - 1]
  const solid = tokens.filter((t) => t.kind !== 'space' && t.kind !== 'comment')
  let depth = 0
  for (const t of tokens) { if (t.text === '{') depth++; else if (t.text === '}') depth-- }
  const inCall = openCall(solid)
  const unfinished = last && last.kind !== 'space' && last.kind !== 'operator' && last.kind !== 'bracket' ? last : undefined
  const before: Token | undefined = unfinished ? solid[solid.length - 2] : solid[solid.length - 1]
  const from = unfinished ? unfinished.from : at
  if (depth > 0 || inCall) {
    if (before && comparison.test(before.text)) {
      const field = solid[solid.length - (unfinished ? 3 : 2)]
      if (field && (field.kind === 'field' || field.kind === 'intrinsic')) return { what: 'value', from, field: field.text }
      return { what: 'field', from }
    }
    if (!unfinished && before && ['field', 'intrinsic', 'string', 'number', 'keyword'].includes(before.kind)) return { what: 'operator', from }
    return { what: 'field', from }
  }
  return { what: 'stage', from }
}

/** Reports whether the place is inside the parentheses of a function that takes fields. */
function openCall(solid: Token[]): boolean {
  const open: boolean[] = []
  solid.forEach((t, i) => {
    if (t.text === '(') open.push(i > 0 && solid[i - 1].kind === 'function')
    else if (t.text === ')') open.pop()
  })
  return open.some(Boolean)
}
