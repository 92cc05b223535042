// Finding a trace id in whatever someone pastes.

/** Returns the trace id, 32 hexadecimal digits, that the text holds, or nothing. */
export function findTraceID(text: string): string | undefined {
  const t = text.trim()
  for (const form of [readTraceparent, readUber, readB3, readBase64, readPlain, readInside]) {
    const id = form(t)
    if (id && !/^0+$/.test(id)) return id
  }
  return undefined
}

const pad = (hex: string) => hex.toLowerCase().padStart(32, '0')

function readTraceparent(t: string): string | undefined {
  return /\b[0-9a-f]{2}-([0-9a-f]{32})-[0-9a-f]{16}-[0-9a-f]{2}\b/i.exec(t)?.[1].toLowerCase()
}

/** uber-trace-id: trace:span:parent:flags, leading zeros left out. */
function readUber(t: string): string | undefined {
  const m = /(?:^|[^0-9a-f:%])([0-9a-f]{1,32})(?::|%3A)[0-9a-f]{1,16}(?::|%3A)[0-9a-f]{1,16}(?::|%3A)[0-9a-f]{1,2}(?:[^0-9a-f:]|$)/i.exec(t)
  return m ? pad(m[1]) : undefined
}

/** b3 in one header: trace-span[-sampled[-parent]]. */
function readB3(t: string): string | undefined {
  const m = /(?:^|[^0-9a-f-])([0-9a-f]{32}|[0-9a-f]{16})-[0-9a-f]{16}(?:-[01d](?:-[0-9a-f]{16})?)?(?:[^0-9a-f-]|$)/i.exec(t)
  return m ? pad(m[1]) : undefined
}

function readBase64(t: string): string | undefined {
  if (!/^[A-Za-z0-9+/_-]{22}(==)?$/.test(t) || /^[0-9a-f]+$/i.test(t)) return undefined
  const bytes = atob(t.replace(/-/g, '+').replace(/_/g, '/').replace(/=+$/, ''))
  return Array.from(bytes, (c) => c.charCodeAt(0).toString(16).padStart(2, '0')).join('')
}

function readPlain(t: string): string | undefined {
  const hex = t.replace(/^0x/i, '').replace(/-/g, '')
  return /^[0-9a-f]{1,32}$/i.test(hex) && (hex.length >= 8 || hex.length === t.length) ? pad(hex) : undefined
}

/** The first run of 32, else of 16, hexadecimal digits in a line of a log, an address or JSON. */
function readInside(t: string): string | undefined {
  const uuid = /(?:^|[^0-9a-f])([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})(?:[^0-9a-f]|$)/i.exec(t)
  const long = /(?:^|[^0-9a-f])([0-9a-f]{32})(?:[^0-9a-f]|$)/i.exec(t)
  if (long) return long[1].toLowerCase()
  if (uuid) return uuid[1].replace(/-/g, '').toLowerCase()
  const short = /(?:^|[^0-9a-f])([0-9a-f]{16})(?:[^0-9a-f]|$)/i.exec(t)
  return short ? pad(short[1]) : undefined
}
