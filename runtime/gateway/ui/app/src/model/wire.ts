// A reader of protobuf's wire format over one buffer. It throws RangeError when a length is wrong.

const text = new TextDecoder()

export class WireReader {
  view: DataView
  constructor(readonly bytes: Uint8Array, public at = 0, public end = bytes.length) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }

  get more(): boolean { return this.at < this.end }

  /** Reads a varint as a number; digits above 2^53 are lost. */
  varint(): number {
    let v = 0, scale = 1
    for (let i = 0; i < 10; i++) {
      const b = this.bytes[this.at++]
      if (b === undefined) break
      v += (b & 127) * scale
      if (b < 128) return v
      scale *= 128
    }
    throw new RangeError('a number does not end')
  }

  /** Reads a varint as a signed integer of 64 bits. */
  int64(): bigint {
    let v = 0n, shift = 0n
    for (let i = 0; i < 10; i++) {
      const b = this.bytes[this.at++]
      if (b === undefined) break
      v |= BigInt(b & 127) << shift
      if (b < 128) return BigInt.asIntN(64, v)
      shift += 7n
    }
    throw new RangeError('a number does not end')
  }

  fixed64(): bigint { const v = this.view.getBigUint64(this.at, true); this.at += 8; return v }
  double(): number { const v = this.view.getFloat64(this.at, true); this.at += 8; return v }

  /** Reads the length of a nested message or text and returns where it ends. */
  length(): number {
    const n = this.varint()
    const end = this.at + n
    if (end > this.end) throw new RangeError('a message is longer than what holds it')
    return end
  }

  string(): string {
    const end = this.length()
    const s = decodeText(this.bytes, this.at, end)
    this.at = end
    return s
  }

  /** Reads the length of a nested message and returns a reader of it. */
  nested(): WireReader {
    const end = this.length()
    const r = new WireReader(this.bytes, this.at, end)
    this.at = end
    return r
  }

  /** Passes over the value of a tag. */
  skip(tag: number): void {
    switch (tag & 7) {
      case 0: this.varint(); break
      case 1: this.at += 8; break
      case 2: this.at = this.length(); break
      case 5: this.at += 4; break
      default: throw new RangeError('a field has a type that protobuf does not know')
    }
    if (this.at > this.end) throw new RangeError('a field is longer than what holds it')
  }
}

export function decodeText(bytes: Uint8Array, from: number, to: number): string {
  // Short ASCII, which is nearly everything, is faster without the decoder.
  if (to - from <= 24) {
    let s = ''
    for (let i = from; i < to; i++) {
      if (bytes[i] >= 128) return text.decode(bytes.subarray(from, to))
      s += String.fromCharCode(bytes[i])
    }
    return s
  }
  return text.decode(bytes.subarray(from, to))
}
