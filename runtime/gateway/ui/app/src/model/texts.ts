// Many texts as one piece of memory, which passes from a worker to the page without being copied, and
// of which only those are decoded that are looked at.

import type { Texts } from './trace'

/** A list of few texts, or the bytes of many: text i ends at ends[i]. */
export type Packed = string[] | { bytes: Uint8Array; ends: Uint32Array }

const few = 5000

export function packTexts(texts: Texts): Packed {
  const list = Array.from({ length: texts.length }, (_, i) => texts.at(i)!)
  if (list.length <= few) return list
  const ends = new Uint32Array(list.length)
  const coder = new TextEncoder()
  let bytes = new Uint8Array(32 * list.length), at = 0
  for (let i = 0; i < list.length; i++) {
    if (at + 3 * list[i].length > bytes.length) { const more = new Uint8Array(2 * bytes.length + 3 * list[i].length); more.set(bytes); bytes = more }
    at += coder.encodeInto(list[i], bytes.subarray(at)).written
    ends[i] = at
  }
  return { bytes: bytes.slice(0, at), ends }
}

export function unpackTexts(p: Packed): Texts {
  if (Array.isArray(p)) return p
  const decoder = new TextDecoder()
  return { length: p.ends.length, at: (i) => (i < 0 || i >= p.ends.length ? undefined : decoder.decode(p.bytes.subarray(i > 0 ? p.ends[i - 1] : 0, p.ends[i]))) }
}
