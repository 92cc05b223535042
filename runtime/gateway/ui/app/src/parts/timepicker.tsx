import { useState } from 'preact/hooks'
import { now } from '../api/client'
import { boundsOf, isRange, quickRanges, readMoment, shiftRange, widenRange } from '../model/range'
import { zone, zoneName } from '../settings'
import { range, rangeName, setRange, writeTime } from '../view'
import { openMenu } from './menu'

export function TimePicker() {
  return (
    <div class="row" style={{ gap: '2px', flexWrap: 'nowrap' }}>
      <button class="icon" title="Earlier ( [ )" aria-label="Earlier" onClick={() => setRange(shiftRange(range.value, -0.5, now()))}>‹</button>
      <button id="time" title="Range of time ( t )" onClick={(e) => openMenu(e, { content: (close) => <Picker close={close} /> })}>
        <span aria-hidden="true">◷</span><span>{rangeName.value}</span>
      </button>
      <button class="icon" title="Later ( ] )" aria-label="Later" onClick={() => setRange(shiftRange(range.value, 0.5, now()))}>›</button>
      <button class="icon" title="Twice as long" aria-label="Twice as long" onClick={() => setRange(widenRange(range.value, now()))}>⤢</button>
    </div>
  )
}

function Picker({ close }: { close: () => void }) {
  const [from, to] = boundsOf(range.value, now())
  const [a, setA] = useState(range.value.from.startsWith('now') ? range.value.from : writeTime(from))
  const [b, setB] = useState(range.value.to.startsWith('now') ? range.value.to : writeTime(to))
  const given = { from: readEnd(a), to: readEnd(b) }
  const valid = isRange(given)
  const choose = (r: typeof given) => { close(); setRange(r) }
  return (
    <form style={{ display: 'flex', gap: '16px', padding: '8px', flexWrap: 'wrap' }} onSubmit={(e) => { e.preventDefault(); if (valid) choose(given) }}>
      <div style={{ minWidth: '150px' }}>{quickRanges.map(([name, r]) => <button type="button" key={name} onClick={() => choose(r)}>{name}</button>)}</div>
      <div style={{ display: 'flex', flexDirection: 'column', gap: '8px', width: '220px' }}>
        <label>From<input type="text" style={{ width: '100%' }} value={a} onInput={(e) => setA(e.currentTarget.value)} /></label>
        <label>To<input type="text" style={{ width: '100%' }} value={b} onInput={(e) => setB(e.currentTarget.value)} /></label>
        <div class="faint" style={{ fontSize: '12px' }}>{valid ? `now, now-3h, or a date and time (${zoneName()})` : 'This is no range: write now, now-3h or a date and time.'}</div>
        <button type="submit" class="primary" style={{ justifyContent: 'center' }} disabled={!valid}>Apply</button>
        <label>Zone
          <select value={zone.value} style={{ width: '100%' }} onChange={(e) => { zone.value = e.currentTarget.value }}>
            <option value="local">This machine ({Intl.DateTimeFormat().resolvedOptions().timeZone})</option>
            <option value="UTC">UTC</option>
            {!['local', 'UTC'].includes(zone.value) && <option value={zone.value}>{zone.value}</option>}
            {(Intl.supportedValuesOf?.('timeZone') ?? []).map((z) => <option key={z} value={z}>{z}</option>)}
          </select>
        </label>
      </div>
    </form>
  )
}

/** Reads what was typed as an end of a range: words of relative time stay as they are, dates are of the chosen zone. */
function readEnd(text: string): string {
  const t = text.trim()
  if (readMoment(t, 0) !== undefined && t.startsWith('now')) return t
  const local = /^(\d{4}-\d\d-\d\d)(?:[ T](\d\d:\d\d(?::\d\d(?:\.\d+)?)?))?$/.exec(t)
  const time = local ? (local[2] ?? '00:00').padEnd(8, ':00') : ''
  const ms = local ? (zone.peek() === 'local' ? Date.parse(`${local[1]}T${time}`) : toZone(Date.parse(`${local[1]}T${time}Z`))) : Date.parse(t)
  return Number.isNaN(ms) ? t : new Date(ms).toISOString()
}

/** Finds the moment whose clock in the chosen zone shows what UTC shows at ms. */
function toZone(ms: number): number {
  let guess = ms
  for (let i = 0; i < 3; i++) guess += ms - Date.parse(writeTime(guess).replace(' ', 'T') + 'Z')
  return guess
}
