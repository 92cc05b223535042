// Writes a trace as OTLP's own JSON: ids in hexadecimal, integers of 64 bits as strings.

import { TraceBuffer, type Attribute, type Value } from './otlp'

export function writeOTLP(bytes: Uint8Array): string {
  const b = TraceBuffer.read(bytes, true)
  const groups = new Map<string, { resource: unknown; scopes: Map<string, { scope: unknown; spans: unknown[] }> }>()
  for (let r = 0; r < b.columns.count; r++) {
    const d = b.detail(r)
    const resource = { attributes: d.resource.map(attribute) }
    const key = JSON.stringify(resource)
    let g = groups.get(key)
    if (!g) groups.set(key, g = { resource, scopes: new Map() })
    const scope = prune({ name: d.scope.name, version: d.scope.version, attributes: d.scope.attributes.map(attribute) })
    const scopeKey = JSON.stringify(scope)
    let s = g.scopes.get(scopeKey)
    if (!s) g.scopes.set(scopeKey, s = { scope, spans: [] })
    s.spans.push(prune({
      traceId: d.traceID, spanId: d.id, traceState: d.state, parentSpanId: d.parentID, flags: d.flags, name: d.name, kind: d.kind,
      startTimeUnixNano: String(d.start), endTimeUnixNano: String(d.end), attributes: d.attributes.map(attribute), droppedAttributesCount: d.dropped,
      events: d.events.map((e) => prune({ timeUnixNano: String(e.time), name: e.name, attributes: e.attributes.map(attribute), droppedAttributesCount: e.dropped })), droppedEventsCount: d.droppedEvents,
      links: d.links.map((l) => prune({ traceId: l.traceID, spanId: l.spanID, traceState: l.state, attributes: l.attributes.map(attribute), droppedAttributesCount: l.dropped })), droppedLinksCount: d.droppedLinks,
      status: prune({ message: d.message, code: d.status }),
    }))
  }
  return JSON.stringify({ resourceSpans: [...groups.values()].map((g) => ({ resource: g.resource, scopeSpans: [...g.scopes.values()] })) })
}

/** Leaves out what is empty or zero. */
function prune(o: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(o).filter(([, v]) => v !== '' && v !== 0 && !(Array.isArray(v) && v.length === 0) && !(v && typeof v === 'object' && !Array.isArray(v) && Object.keys(v).length === 0)))
}

const attribute = (a: Attribute) => ({ key: a.key, value: value(a.value) })

function value(v: Value): unknown {
  if (v === null) return {}
  if (typeof v === 'string') return { stringValue: v }
  if (typeof v === 'boolean') return { boolValue: v }
  if (typeof v === 'bigint' || typeof v === 'number') return { intValue: String(v) }
  if ('double' in v) return { doubleValue: Number.isFinite(v.double) ? v.double : String(v.double) }
  if ('bytes' in v) return { bytesValue: btoa(String.fromCharCode(...(v.bytes.match(/../g) ?? []).map((h) => parseInt(h, 16)))) }
  if ('list' in v) return { arrayValue: { values: v.list.map(value) } }
  return { kvlistValue: { values: v.map.map(attribute) } }
}
