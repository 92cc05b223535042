// What the screens share of the address: the range of time, and how times are written.

import { computed } from '@preact/signals'
import { config } from './api/config'
import { formatTime } from './model/format'
import { isRange, nameRange, type Range } from './model/range'
import { params, setParams } from './router'
import { zone } from './settings'

export const range = computed<Range>(() => {
  const r = { from: params.value.from ?? '', to: params.value.to ?? '' }
  return isRange(r) ? r : { from: `now-${config.value.defaultRange || '1h'}`, to: 'now' }
})

export const writeTime = (ms: number) => formatTime(ms, zone.value).replace(/\.000$/, '')
export const rangeName = computed(() => nameRange(range.value, writeTime))

export function setRange(r: Range): void { setParams({ from: r.from, to: r.to }) }
