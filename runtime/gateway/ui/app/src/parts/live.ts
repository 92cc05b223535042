// What screen readers are told of streams: one polite region, at most every five seconds.

import { signal } from '@preact/signals'

export const spoken = signal('')
let last = 0
let timer: ReturnType<typeof setTimeout> | undefined

export function speak(text: string): void {
  clearTimeout(timer)
  const wait = Math.max(0, last + 5000 - Date.now())
  timer = setTimeout(() => { last = Date.now(); spoken.value = text }, wait)
}
