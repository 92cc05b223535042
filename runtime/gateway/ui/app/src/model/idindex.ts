// Finds spans by their ids: an open hash table over the column of ids. A Map would make an object for
// each of a million spans.

export class IDIndex {
  /** How many spans have an id that an earlier one has. */
  readonly duplicates: number
  private readonly slots: Int32Array
  private readonly later: Int32Array
  /** Of each id the lower and the upper half. */
  private readonly halves: Uint32Array

  constructor(ids: BigUint64Array) {
    this.halves = new Uint32Array(ids.buffer, ids.byteOffset, 2 * ids.length)
    let size = 16
    while (size < 2 * ids.length) size *= 2
    this.slots = new Int32Array(size).fill(-1)
    this.later = new Int32Array(ids.length).fill(-1)
    const last = new Map<number, number>() // of those that share an id, by the first of them
    let duplicates = 0
    for (let i = 0; i < ids.length; i++) {
      const s = this.slotOf(this.halves[2 * i], this.halves[2 * i + 1])
      const first = this.slots[s]
      if (first < 0) { this.slots[s] = i; continue }
      duplicates++
      this.later[last.get(first) ?? first] = i
      last.set(first, i)
    }
    this.duplicates = duplicates
  }

  private slotOf(low: number, high: number): number {
    const mask = this.slots.length - 1
    let s = Math.imul(low ^ Math.imul(high, 0x9e3779b1), 0x85ebca6b)
    s = (s ^ (s >>> 15)) & mask
    for (; ; s = (s + 1) & mask) {
      const i = this.slots[s]
      if (i < 0 || (this.halves[2 * i] === low && this.halves[2 * i + 1] === high)) return s
    }
  }

  /** The first span with an id, or −1. */
  first(id: bigint): number { return this.slots[this.slotOf(Number(id & 0xffffffffn), Number(id >> 32n))] }

  /** The next span with the same id, or −1. */
  next(i: number): number { return this.later[i] }
}
