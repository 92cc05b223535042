// Copying works without a secure context: where the clipboard is not to be had, the text is shown, selected.

import { signal } from '@preact/signals'

export const shown = signal<string | undefined>(undefined)
export const toast = signal('')
let timer: ReturnType<typeof setTimeout> | undefined

export function notify(text: string): void {
  toast.value = text
  clearTimeout(timer)
  timer = setTimeout(() => { toast.value = '' }, 2600)
}

export async function copyText(text: string): Promise<void> {
  try {
    if (!navigator.clipboard) throw new Error('none')
    await navigator.clipboard.writeText(text)
    notify('Copied')
  } catch { shown.value = text }
}

export function CopyDialog() {
  if (shown.value === undefined) return null
  return (
    <dialog ref={(d) => { if (d && !d.open) d.showModal() }} onClose={() => { shown.value = undefined }} aria-label="Copy">
      <p>Press <kbd>Ctrl</kbd> <kbd>C</kbd> to copy:</p>
      <textarea readOnly rows={4} style={{ width: 'min(560px, 80vw)' }} class="mono" ref={(t) => t?.select()} value={shown.value} />
      <form method="dialog"><button style={{ marginTop: '10px' }}>Close</button></form>
    </dialog>
  )
}

export function Toast() {
  return <div role="status" aria-live="polite" class={toast.value ? 'toast shown' : 'toast'}>{toast.value}</div>
}
