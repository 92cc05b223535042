// Reads an answer of trace by id, protobuf, into columns, and the details of one span out of it.

import { buildTree, hasEvents, hasLinks, type RawSpans, type TraceColumns } from './trace'
import { decodeText, WireReader } from './wire'

/** A value. Integers are numbers, or bigints where these are not exact; floats are apart from them. */
export type Value = string | number | bigint | boolean | null | { double: number } | { bytes: string } | { list: Value[] } | { map: Attribute[] }
export interface Attribute { key: string; value: Value }
export interface SpanEvent { time: bigint; name: string; attributes: Attribute[]; dropped: number }
export interface SpanLink { traceID: string; spanID: string; state: string; attributes: Attribute[]; dropped: number }

/** Everything that a span says. Times are unix nanoseconds. */
export interface SpanDetail {
  traceID: string; id: string; parentID: string; state: string; flags: number
  name: string; kind: number; start: bigint; end: bigint
  status: number; message: string
  attributes: Attribute[]; dropped: number
  events: SpanEvent[]; droppedEvents: number
  links: SpanLink[]; droppedLinks: number
  resource: Attribute[]
  scope: { name: string; version: string; attributes: Attribute[] }
}

/** A trace in a buffer: columns to draw, and where the bytes of each span, its resource and its scope lie. */
export class TraceBuffer {
  columns!: TraceColumns
  private where: { span: Uint32Array; spanEnd: Uint32Array; resource: Uint32Array; scope: Uint32Array }
  private places: { from: number; to: number }[] = []

  private constructor(readonly bytes: Uint8Array) {
    this.where = { span: new Uint32Array(), spanEnd: new Uint32Array(), resource: new Uint32Array(), scope: new Uint32Array() }
  }

  /** Reads a TraceByIDResponse, or with bare a TracesData, as files and version 1 of the API hold it. */
  static read(bytes: Uint8Array, bare = false): TraceBuffer {
    const b = new TraceBuffer(bytes)
    b.load(bare)
    return b
  }

  private load(bare: boolean): void {
    const spans = new SpanList()
    const names = new Interner(), services = new Interner()
    const answer = { complete: true, warnings: [] as string[], message: '', partial: false }
    const traces: [number, number][] = []
    if (bare) traces.push([0, this.bytes.length])
    else {
      const r = new WireReader(this.bytes)
      while (r.more) {
        const tag = r.varint()
        switch (tag >> 3) {
          case 1: { const n = r.nested(); traces.push([n.at, n.end]); break }
          case 4: answer.message = r.string(); break
          case 1001: answer.complete = r.varint() !== 0; break
          case 1002: answer.warnings.push(r.string()); break
          default: r.skip(tag)
        }
      }
    }
    for (const [from, to] of traces) {
      const t = new WireReader(this.bytes, from, to)
      while (t.more) {
        const tag = t.varint()
        if (tag >> 3 === 1) this.readResource(t.nested(), spans, names, services)
        else t.skip(tag)
      }
    }
    const raw = spans.finish()
    const tree = buildTree(raw)
    const pick = (a: Uint32Array) => { const o = new Uint32Array(raw.count); for (let r = 0; r < raw.count; r++) o[r] = a[tree.order[r]]; return o }
    this.where = { span: pick(raw.at), spanEnd: pick(raw.end32), resource: pick(raw.resource), scope: pick(raw.scope) }
    const { order: _, ...columns } = tree
    this.columns = { ...columns, traceID: spans.traceID, names: names.list, services: services.list, complete: answer.complete, warnings: answer.warnings, message: answer.message }
  }

  private place(r: WireReader): number { this.places.push({ from: r.at, to: r.end }); return this.places.length }

  private readResource(r: WireReader, spans: SpanList, names: Interner, services: Interner): void {
    let resource = 0, service = services.code('')
    const scopes: WireReader[] = []
    while (r.more) {
      const tag = r.varint()
      if (tag >> 3 === 1) {
        const n = r.nested()
        resource = this.place(n)
        service = services.code(readService(n))
      } else if (tag >> 3 === 2) scopes.push(r.nested())
      else r.skip(tag)
    }
    for (const s of scopes) {
      let scope = 0
      const list: WireReader[] = []
      while (s.more) {
        const tag = s.varint()
        if (tag >> 3 === 1) scope = this.place(s.nested())
        else if (tag >> 3 === 2) list.push(s.nested())
        else s.skip(tag)
      }
      for (const span of list) spans.add(span, service, names, resource, scope)
    }
  }

  /** Everything that the span of a row says. */
  detail(row: number): SpanDetail {
    const r = new WireReader(this.bytes, this.where.span[row], this.where.spanEnd[row])
    const d: SpanDetail = {
      traceID: '', id: '', parentID: '', state: '', flags: 0, name: '', kind: 0, start: 0n, end: 0n, status: 0, message: '',
      attributes: [], dropped: 0, events: [], droppedEvents: 0, links: [], droppedLinks: 0, resource: [], scope: { name: '', version: '', attributes: [] },
    }
    while (r.more) {
      const tag = r.varint()
      switch (tag >> 3) {
        case 1: d.traceID = readHex(r); break
        case 2: d.id = readHex(r); break
        case 3: d.state = r.string(); break
        case 4: d.parentID = readHex(r); break
        case 5: d.name = r.string(); break
        case 6: d.kind = r.varint(); break
        case 7: d.start = r.fixed64(); break
        case 8: d.end = r.fixed64(); break
        case 9: d.attributes.push(readAttribute(r.nested())); break
        case 10: d.dropped = r.varint(); break
        case 11: d.events.push(readEvent(r.nested())); break
        case 12: d.droppedEvents = r.varint(); break
        case 13: d.links.push(readLink(r.nested())); break
        case 14: d.droppedLinks = r.varint(); break
        case 15: {
          const s = r.nested()
          while (s.more) {
            const t = s.varint()
            if (t >> 3 === 2) d.message = s.string()
            else if (t >> 3 === 3) d.status = s.varint()
            else s.skip(t)
          }
          break
        }
        case 16: d.flags = r.view.getUint32(r.at, true); r.at += 4; break
        default: r.skip(tag)
      }
    }
    const at = (n: number) => new WireReader(this.bytes, this.places[n - 1].from, this.places[n - 1].to)
    if (this.where.resource[row] > 0) d.resource = readAttributes(at(this.where.resource[row]), 1)
    if (this.where.scope[row] > 0) {
      const s = at(this.where.scope[row])
      while (s.more) {
        const tag = s.varint()
        if (tag >> 3 === 1) d.scope.name = s.string()
        else if (tag >> 3 === 2) d.scope.version = s.string()
        else if (tag >> 3 === 3) d.scope.attributes.push(readAttribute(s.nested()))
        else s.skip(tag)
      }
    }
    return d
  }

  /** The rows whose name, service, id, attributes, resource, events or status message hold the text; capitals do not matter. */
  find(text: string): Uint32Array {
    const want = text.toLowerCase()
    const t = this.columns
    const inName = Array.from({ length: t.names.length }, (_, i) => t.names.at(i)!).map((s) => s.toLowerCase().includes(want))
    const inService = Array.from({ length: t.services.length }, (_, i) => t.services.at(i)!).map((s) => s.toLowerCase().includes(want))
    const known = new Map<number, boolean>()
    const inPlace = (n: number): boolean => {
      if (n === 0) return false
      let k = known.get(n)
      if (k === undefined) known.set(n, k = decodeText(this.bytes, this.places[n - 1].from, this.places[n - 1].to).toLowerCase().includes(want))
      return k
    }
    const hex = /^[0-9a-f]{4,16}$/.test(want)
    const out: number[] = []
    for (let r = 0; r < t.count; r++) {
      if (inName[t.name[r]] || inService[t.service[r]] || inPlace(this.where.resource[r]) ||
        decodeText(this.bytes, this.where.span[r], this.where.spanEnd[r]).toLowerCase().includes(want) || (hex && idHolds(t.ids, r, want))) out.push(r)
    }
    return Uint32Array.from(out)
  }
}

function idHolds(ids: Uint8Array, row: number, want: string): boolean {
  let s = ''
  for (let k = 8 * row; k < 8 * row + 8; k++) s += ids[k].toString(16).padStart(2, '0')
  return s.includes(want)
}

/** Gives texts numbers, so that columns can hold them. */
class Interner {
  list: string[] = []
  private codes = new Map<string, number>()
  code(s: string): number {
    let c = this.codes.get(s)
    if (c === undefined) { c = this.list.length; this.codes.set(s, c); this.list.push(s) }
    return c
  }
}

/** Columns of spans that grow. */
class SpanList {
  traceID = ''
  private count = 0
  private start = new BigUint64Array(256)
  private end = new BigUint64Array(256)
  private id = new BigUint64Array(256)
  private parent = new BigUint64Array(256)
  private name = new Uint32Array(256)
  private service = new Uint16Array(256)
  private kind = new Uint8Array(256)
  private status = new Uint8Array(256)
  private flags = new Uint8Array(256)
  private at = new Uint32Array(256)
  private end32 = new Uint32Array(256)
  private resource = new Uint32Array(256)
  private scope = new Uint32Array(256)

  add(r: WireReader, service: number, names: Interner, resource: number, scope: number): void {
    if (this.count === this.name.length) this.grow()
    const i = this.count++
    this.at[i] = r.at
    this.end32[i] = r.end
    this.service[i] = Math.min(service, 65535)
    this.resource[i] = resource
    this.scope[i] = scope
    let name = ''
    while (r.more) {
      const tag = r.varint()
      switch (tag >> 3) {
        case 1: { const end = r.length(); if (!this.traceID) this.traceID = hexOf(r.bytes, r.at, end); r.at = end; break }
        case 2: this.id[i] = readID(r); break
        case 4: this.parent[i] = readID(r); break
        case 5: name = r.string(); break
        case 6: this.kind[i] = Math.min(r.varint(), 255); break
        case 7: this.start[i] = r.fixed64(); break
        case 8: this.end[i] = r.fixed64(); break
        case 11: this.flags[i] |= hasEvents; r.skip(tag); break
        case 13: this.flags[i] |= hasLinks; r.skip(tag); break
        case 15: {
          const s = r.nested()
          while (s.more) {
            const t = s.varint()
            if (t >> 3 === 3) this.status[i] = Math.min(s.varint(), 255)
            else s.skip(t)
          }
          break
        }
        default: r.skip(tag)
      }
    }
    this.name[i] = names.code(name)
  }

  private grow(): void {
    const more = <A extends { length: number; set(a: A): void }>(a: A, make: new (n: number) => A): A => { const b = new make(2 * a.length); b.set(a); return b }
    this.start = more(this.start, BigUint64Array); this.end = more(this.end, BigUint64Array)
    this.id = more(this.id, BigUint64Array); this.parent = more(this.parent, BigUint64Array)
    this.name = more(this.name, Uint32Array); this.service = more(this.service, Uint16Array)
    this.kind = more(this.kind, Uint8Array); this.status = more(this.status, Uint8Array); this.flags = more(this.flags, Uint8Array)
    this.at = more(this.at, Uint32Array); this.end32 = more(this.end32, Uint32Array)
    this.resource = more(this.resource, Uint32Array); this.scope = more(this.scope, Uint32Array)
  }

  finish(): RawSpans & { at: Uint32Array; end32: Uint32Array; resource: Uint32Array; scope: Uint32Array } {
    const n = this.count
    return {
      count: n, start: this.start.subarray(0, n), end: this.end.subarray(0, n), id: this.id.subarray(0, n), parent: this.parent.subarray(0, n),
      name: this.name.subarray(0, n), service: this.service.subarray(0, n), kind: this.kind.subarray(0, n), status: this.status.subarray(0, n),
      flags: this.flags.subarray(0, n), at: this.at.subarray(0, n), end32: this.end32.subarray(0, n), resource: this.resource.subarray(0, n), scope: this.scope.subarray(0, n),
    }
  }
}

function readID(r: WireReader): bigint {
  const end = r.length()
  let v = 0n
  if (end - r.at === 8) v = r.view.getBigUint64(r.at)
  r.at = end
  return v
}

function hexOf(b: Uint8Array, from: number, to: number): string {
  let s = ''
  for (let i = from; i < to; i++) s += b[i].toString(16).padStart(2, '0')
  return s
}

function readHex(r: WireReader): string {
  const end = r.length()
  const s = hexOf(r.bytes, r.at, end)
  r.at = end
  return s
}

function readService(r: WireReader): string {
  const c = new WireReader(r.bytes, r.at, r.end)
  while (c.more) {
    const tag = c.varint()
    if (tag >> 3 !== 1) { c.skip(tag); continue }
    const a = readAttribute(c.nested())
    if (a.key === 'service.name') return typeof a.value === 'string' ? a.value : writeValue(a.value)
  }
  return ''
}

function readAttributes(r: WireReader, field: number): Attribute[] {
  const out: Attribute[] = []
  while (r.more) {
    const tag = r.varint()
    if (tag >> 3 === field) out.push(readAttribute(r.nested()))
    else r.skip(tag)
  }
  return out
}

function readAttribute(r: WireReader): Attribute {
  const a: Attribute = { key: '', value: null }
  while (r.more) {
    const tag = r.varint()
    if (tag >> 3 === 1) a.key = r.string()
    else if (tag >> 3 === 2) a.value = readValue(r.nested(), 0)
    else r.skip(tag)
  }
  return a
}

function readValue(r: WireReader, level: number): Value {
  let v: Value = null
  while (r.more) {
    const tag = r.varint()
    switch (tag >> 3) {
      case 1: v = r.string(); break
      case 2: v = r.varint() !== 0; break
      case 3: { const i = r.int64(); v = i >= -9007199254740991n && i <= 9007199254740991n ? Number(i) : i; break }
      case 4: v = { double: r.double() }; break
      case 5: {
        const n = r.nested(), list: Value[] = []
        while (n.more) { const t = n.varint(); if (t >> 3 === 1 && level < 32) list.push(readValue(n.nested(), level + 1)); else n.skip(t) }
        v = { list }
        break
      }
      case 6: v = level < 32 ? { map: readAttributes(r.nested(), 1) } : (r.skip(tag), null); break
      case 7: v = { bytes: readHex(r) }; break
      default: r.skip(tag)
    }
  }
  return v
}

function readEvent(r: WireReader): SpanEvent {
  const e: SpanEvent = { time: 0n, name: '', attributes: [], dropped: 0 }
  while (r.more) {
    const tag = r.varint()
    switch (tag >> 3) {
      case 1: e.time = r.fixed64(); break
      case 2: e.name = r.string(); break
      case 3: e.attributes.push(readAttribute(r.nested())); break
      case 4: e.dropped = r.varint(); break
      default: r.skip(tag)
    }
  }
  return e
}

function readLink(r: WireReader): SpanLink {
  const l: SpanLink = { traceID: '', spanID: '', state: '', attributes: [], dropped: 0 }
  while (r.more) {
    const tag = r.varint()
    switch (tag >> 3) {
      case 1: l.traceID = readHex(r); break
      case 2: l.spanID = readHex(r); break
      case 3: l.state = r.string(); break
      case 4: l.attributes.push(readAttribute(r.nested())); break
      case 5: l.dropped = r.varint(); break
      default: r.skip(tag)
    }
  }
  return l
}

/** A value as text: strings as they are, everything else as JSON would have it. */
export function writeValue(v: Value): string {
  if (typeof v === 'string') return v
  return writeJSON(v)
}

function writeJSON(v: Value): string {
  if (v === null) return 'null'
  if (typeof v === 'string') return JSON.stringify(v)
  if (typeof v !== 'object') return String(v)
  if ('double' in v) return String(v.double)
  if ('bytes' in v) return `0x${v.bytes}`
  if ('list' in v) return `[${v.list.map(writeJSON).join(', ')}]`
  return `{${v.map.map((a) => `${JSON.stringify(a.key)}: ${writeJSON(a.value)}`).join(', ')}}`
}
