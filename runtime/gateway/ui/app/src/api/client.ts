// Requests to the API of the node that serves these pages. Every request carries the tenant, asks
// for an honest answer rather than a failure, and ends on the server when it is aborted here.

import { signal } from '@preact/signals'
import { params } from '../router'
import { config } from './config'

export class APIError extends Error {
  constructor(readonly status: number, text: string, readonly retryAfter: number, readonly path: string) { super(text) }
}

/** Set when the server has said that it wants a tenant. */
export const tenantMissing = signal(false)

/** Milliseconds that the server's clock is ahead of this machine's. */
export const clockOffset = signal(0)
export const now = () => Date.now() + clockOffset.peek()

const most = 4 // browsers allow six connections over HTTP/1.1
let running = 0
const queue: (() => void)[] = []

async function enter(signalOf?: AbortSignal): Promise<void> {
  if (running < most) { running++; return }
  await new Promise<void>((resolve, reject) => {
    const start = () => { running++; resolve() }
    queue.push(start)
    signalOf?.addEventListener('abort', () => {
      const i = queue.indexOf(start)
      if (i >= 0) { queue.splice(i, 1); reject(new DOMException('aborted', 'AbortError')) }
    })
  })
}

function leave(): void {
  running--
  queue.shift()?.()
}

export type Params = Record<string, string | number | undefined>

/** The address of an endpoint, also for links. */
export function endpoint(path: string, given: Params = {}): string {
  const q = new URLSearchParams()
  for (const [k, v] of Object.entries(given)) if (v !== undefined && v !== '') q.set(k, String(v))
  const text = q.toString()
  const root = path.startsWith('/api/') ? config.peek().apiPrefix : ''
  return externalPrefix() + root + path + (text ? '?' + text : '')
}

/** What a proxy puts before the paths of the node: the base of the pages without their own path. */
function externalPrefix(): string {
  return document.querySelector<HTMLMetaElement>('meta[name="prefix"]')?.content ?? ''
}

export function headers(accept: string): Record<string, string> {
  const h: Record<string, string> = { Accept: accept }
  const tenant = params.peek().tenant
  if (tenant && config.peek().multitenancy) h['X-Scope-OrgID'] = tenant
  return h
}

async function send(path: string, given: Params, accept: string, init: RequestInit): Promise<Response> {
  let r: Response
  try {
    r = await fetch(endpoint(path, given), { ...init, headers: { ...headers(accept), ...init.headers } })
  } catch (err) {
    if (err instanceof DOMException && err.name === 'AbortError') throw err
    throw new APIError(0, 'The node cannot be reached. Is it running, and is this machine online?', 0, path)
  }
  const date = Date.parse(r.headers.get('Date') ?? '')
  if (!Number.isNaN(date) && Math.abs(date + 500 - Date.now()) > 2000) clockOffset.value = date + 500 - Date.now()
  if (r.ok) return r
  const text = (await r.text()).trim()
  if (r.status === 401 && text.includes('no org id')) tenantMissing.value = true
  throw new APIError(r.status, text || `${r.status} ${r.statusText}`, Number(r.headers.get('Retry-After') ?? 0), path)
}

export async function getJSON<T>(path: string, given: Params = {}, abort?: AbortSignal): Promise<T> {
  await enter(abort)
  try {
    const r = await send(path, path.startsWith('/api/') ? { ...given, require_complete: 'false' } : given, 'application/json', { signal: abort })
    return await r.json() as T
  } finally { leave() }
}

export async function getText(path: string, abort?: AbortSignal): Promise<string> {
  await enter(abort)
  try { return await (await send(path, {}, 'text/plain', { signal: abort })).text() } finally { leave() }
}

export async function getBytes(path: string, given: Params = {}, abort?: AbortSignal): Promise<ArrayBuffer> {
  await enter(abort)
  try { return await (await send(path, { ...given, require_complete: 'false' }, 'application/protobuf', { signal: abort })).arrayBuffer() } finally { leave() }
}

/** Bytes of a form of Troupe's own, with what the headers of the answer say of them. */
export async function getBinary(path: string, given: Params, abort: AbortSignal): Promise<{ bytes: ArrayBuffer; headers: Headers }> {
  await enter(abort)
  try {
    const r = await send(path, given, 'application/octet-stream', { signal: abort })
    return { bytes: await r.arrayBuffer(), headers: r.headers }
  } finally { leave() }
}

export async function remove(path: string): Promise<void> {
  await send(path, {}, 'application/json', { method: 'DELETE' })
}

/** Reads server-sent events until the answer ends. */
async function readEvents(r: Response, onEvent: (name: string, data: string) => void): Promise<void> {
  const reader = r.body!.pipeThrough(new TextDecoderStream()).getReader()
  let rest = ''
  for (;;) {
    const { value, done } = await reader.read()
    if (done) return
    rest += value
    const events = rest.split('\n\n')
    rest = events.pop()!
    for (const e of events) {
      let name = 'message', data = ''
      for (const line of e.split('\n')) {
        if (line.startsWith('event:')) name = line.slice(6).trim()
        else if (line.startsWith('data:')) data += line.slice(5).trimStart()
      }
      onEvent(name, data)
    }
  }
}

/** Reads an answer of server-sent events: each progress event, then the result, which is returned. */
export async function getEvents<T>(path: string, given: Params, onProgress: (t: T) => void, abort?: AbortSignal): Promise<T> {
  await enter(abort)
  try {
    const r = await send(path, { ...given, require_complete: 'false' }, 'text/event-stream', { signal: abort })
    if (!r.headers.get('Content-Type')?.startsWith('text/event-stream')) return await r.json() as T
    let result: T | undefined
    await readEvents(r, (name, data) => {
      if (name === 'progress') onProgress(JSON.parse(data) as T)
      else if (name === 'result') result = JSON.parse(data) as T
      else if (name === 'error') throw readFailure(data, path)
    })
    if (result === undefined) throw new APIError(0, 'The connection ended before the answer did.', 0, path)
    return result
  } finally { leave() }
}

/** Follows a stream that ends only when it is aborted or breaks off. opened is called once it runs. */
export async function follow(path: string, given: Params, opened: () => void, onEvent: (name: string, data: unknown) => void, abort: AbortSignal): Promise<void> {
  const r = await send(path, given, 'text/event-stream', { signal: abort })
  opened()
  await readEvents(r, (name, data) => {
    if (name === 'error') throw readFailure(data, path)
    onEvent(name, data ? JSON.parse(data) : undefined)
  })
}

function readFailure(data: string, path: string): APIError {
  try {
    const e = JSON.parse(data) as { code?: number; status?: number; message?: string; error?: string }
    return new APIError(e.status ?? e.code ?? 500, e.message ?? e.error ?? data, 0, path)
  } catch { return new APIError(500, data, 0, path) }
}

export const aborted = (err: unknown) => err instanceof DOMException && err.name === 'AbortError'
