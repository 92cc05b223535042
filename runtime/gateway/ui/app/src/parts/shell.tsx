import { computed } from '@preact/signals'
import type { ComponentChildren } from 'preact'
import { useEffect, useRef, useState } from 'preact/hooks'
import { now, tenantMissing } from '../api/client'
import { config, has } from '../api/config'
import { absoluteRange, boundsOf } from '../model/range'
import { addressOf, params, place, screen, setParams } from '../router'
import { singleKeys, theme, type Theme } from '../settings'
import { range } from '../view'
import { CopyDialog, copyText, Toast } from './copy'
import { Keys } from './keys'
import { spoken } from './live'
import { Menu, openMenu } from './menu'
import { TimePicker } from './timepicker'

/** A screen with a need is there if the node has that addition to the API. */
const every: { path: string; name: string; key: string; range: boolean; needs?: string }[] = [
  { path: '', name: 'Home', key: 'h', range: true },
  { path: 'search', name: 'Search', key: 's', range: true },
  { path: 'compare', name: 'Compare', key: 'c', range: true },
  { path: 'services', name: 'Services', key: 'v', range: true },
  { path: 'map', name: 'Map', key: 'm', range: true, needs: 'edges' },
  { path: 'tail', name: 'Tail', key: 't', range: false, needs: 'tail' },
  { path: 'explain', name: 'Explain', key: 'e', range: true },
  { path: 'sending', name: 'Sending', key: 'i', range: false },
  { path: 'file', name: 'File', key: 'f', range: false },
  { path: 'node', name: 'Node', key: 'n', range: false },
]

export const screens = computed(() => every.filter((s) => !s.needs || has(s.needs)))

/** The frame around every screen. */
export function Shell({ children }: { children: ComponentChildren }) {
  const embedded = params.value.embed === '1'
  const current = screens.value.find((s) => s.path === screen.value)
  const nav = useRef<HTMLElement>(null)
  useEffect(() => showCurrent(nav.current), [screen.value])
  const full = screen.value === 'trace' || screen.value === 'file'
  return (
    <>
      <a class="visually-hidden" href="#main">To the content</a>
      {!embedded && (
        <header class="top">
          <a class="brand" href={addressOf('')} aria-label={`${config.value.title}, first page`}>
            <svg viewBox="0 0 32 32" aria-hidden="true"><rect width="32" height="32" rx="7" fill="#4f46e5" /><rect x="6" y="8" width="20" height="4" rx="2" fill="#fff" /><rect x="10" y="14" width="12" height="4" rx="2" fill="#c7d2fe" /><rect x="14" y="20" width="9" height="4" rx="2" fill="#fcd34d" /></svg>
            <span>{config.value.title}</span>
          </a>
          <nav aria-label="Screens" ref={nav}>
            {screens.value.map((s) => <a key={s.path} href={addressOf(s.path)} aria-current={s.path === screen.value ? 'page' : undefined}>{s.name}</a>)}
          </nav>
          <div class="right">
            {(current?.range || place.value.path[1] === 'blocks') && <TimePicker />}
            {config.value.multitenancy && <TenantField />}
            <button class="plain icon" title="Share: copies an address that shows the same later" aria-label="Share" onClick={share}>⇪</button>
            <button class="plain icon" title="Theme, keys" aria-label="Settings" onClick={(e) => openMenu(e, {
              items: [
                { label: 'Theme', heading: true },
                ...(['system', 'light', 'dark'] as Theme[]).map((t) => ({ label: { system: 'As the system', light: 'Light', dark: 'Dark' }[t], checked: theme.value === t, run: () => { theme.value = t } })),
                'line',
                { label: 'Single keys', checked: singleKeys.value, run: () => { singleKeys.value = !singleKeys.value } },
                { label: 'Keys …', run: () => dispatchEvent(new CustomEvent('keys')) },
              ],
            })}>⚙</button>
          </div>
        </header>
      )}
      <main id="main" tabIndex={-1} class={full ? 'full' : ''}>{tenantMissing.value && !params.value.tenant ? <AskTenant /> : children}</main>
      <div class="visually-hidden" aria-live="polite">{spoken.value}</div>
      <Menu /><Keys /><CopyDialog /><Toast />
    </>
  )
}

/** Brings the current screen's name into sight where the names are wider than the page. */
function showCurrent(nav: HTMLElement | null): void {
  const a = nav?.querySelector<HTMLElement>('[aria-current]')
  if (nav && a && (a.offsetLeft + a.offsetWidth > nav.scrollLeft + nav.offsetLeft + nav.clientWidth - 24 || a.offsetLeft < nav.scrollLeft + nav.offsetLeft)) nav.scrollLeft = a.offsetLeft - nav.offsetLeft - 24
}

/** Copies the address with relative times made absolute. */
export function share(): void {
  const r = boundsOf(range.value, now())
  const url = new URL(location.href)
  if (range.value.from.startsWith('now') || range.value.to.startsWith('now')) {
    const a = absoluteRange(Math.floor(r[0] / 1000) * 1000, Math.ceil(r[1] / 1000) * 1000)
    url.searchParams.set('from', a.from)
    url.searchParams.set('to', a.to)
  }
  void copyText(url.href)
}

function TenantField() {
  const [text, setText] = useState(params.value.tenant ?? '')
  useEffect(() => setText(params.value.tenant ?? ''), [place.value])
  return (
    <form onSubmit={(e) => { e.preventDefault(); tenantMissing.value = false; setParams({ tenant: text.trim() || undefined }) }}>
      <input type="text" aria-label="Tenant" placeholder="tenant" size={12} list="tenants" value={text} onInput={(e) => setText(e.currentTarget.value)} />
      <datalist id="tenants">{config.value.tenants.map((t) => <option key={t} value={t} />)}</datalist>
    </form>
  )
}

function AskTenant() {
  const [text, setText] = useState('')
  return (
    <form class="empty" onSubmit={(e) => { e.preventDefault(); if (text.trim()) { tenantMissing.value = false; setParams({ tenant: text.trim() }) } }}>
      <h2>Whose traces?</h2>
      <p>This node keeps several tenants apart. Name one, or several as a|b.</p>
      <div class="row"><input type="text" aria-label="Tenant" autofocus value={text} onInput={(e) => setText(e.currentTarget.value)} /><button class="primary">Show</button></div>
    </form>
  )
}
