// The address is the state: a path below the base, and parameters. Everything that a screen shows
// is read from here, so that Back works and an address can be shared.

import { computed, signal } from '@preact/signals'

const base = new URL(document.baseURI).pathname.replace(/\/?$/, '/')

export interface Place { path: string[]; params: Record<string, string> }

function readPlace(): Place {
  const rest = location.pathname.startsWith(base) ? location.pathname.slice(base.length) : ''
  const params: Record<string, string> = {}
  for (const [k, v] of new URLSearchParams(location.search)) params[k] = v
  return { path: rest.split('/').filter(Boolean).map(decodeURIComponent), params }
}

/** Where the page is. */
export const place = signal<Place>(readPlace())
export const params = computed(() => place.value.params)
export const screen = computed(() => place.value.path[0] ?? '')

/** These stay when one goes to another screen. */
const common = ['tenant', 'from', 'to', 'embed']

/** The address of a screen with its parameters; empty ones are left out, common ones are kept. */
export function addressOf(path: string, given: Record<string, string | undefined> = {}): string {
  const q = new URLSearchParams()
  for (const k of common) if (!(k in given) && place.value.params[k]) q.set(k, place.value.params[k])
  for (const [k, v] of Object.entries(given)) if (v) q.set(k, v)
  const text = q.toString()
  return base + path.split('/').map(encodeURIComponent).join('/') + (text ? '?' + text : '')
}

export function go(path: string, given: Record<string, string | undefined> = {}): void {
  history.pushState(null, '', addressOf(path, given))
  place.value = readPlace()
  scrollTo(0, 0)
}

/** Changes parameters of this screen. With replace, Back does not stop here. */
export function setParams(given: Record<string, string | undefined>, replace = false): void {
  const q = new URLSearchParams(location.search)
  for (const [k, v] of Object.entries(given)) if (v) q.set(k, v); else q.delete(k)
  const text = q.toString()
  const url = location.pathname + (text ? '?' + text : '')
  if (replace) history.replaceState(null, '', url)
  else history.pushState(null, '', url)
  place.value = readPlace()
}

addEventListener('popstate', () => { place.value = readPlace() })

/** A click on a link inside the pages changes the place without loading them again. */
export function follow(e: MouseEvent): void {
  if (e.defaultPrevented || e.button !== 0 || e.metaKey || e.ctrlKey || e.shiftKey || e.altKey) return
  const a = (e.target as Element).closest?.('a')
  if (!a || a.target || a.hasAttribute('download') || a.origin !== location.origin || !a.pathname.startsWith(base)) return
  e.preventDefault()
  if (a.href !== location.href) history.pushState(null, '', a.href)
  place.value = readPlace()
}
