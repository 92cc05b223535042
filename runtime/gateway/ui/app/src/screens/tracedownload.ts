// Saves a trace as a file that troupectl load and collectors read.

import { endpoint, getBytes, headers } from '../api/client'
import { config, has } from '../api/config'
import { notify } from '../parts/copy'
import { params } from '../router'

type Form = 'json' | 'pb'

/** Above this size the node writes the file, and the browser keeps nothing of it in memory. */
const mostHere = 64 << 20

export async function download(id: string, form: Form, bytes: number): Promise<void> {
  const path = encodeURIComponent(id)
  try {
    if (bytes > mostHere && has('export')) { await downloadExport(endpoint(`/api/export/${path}`, { format: form === 'pb' ? 'otlp-proto' : 'otlp-json' }), id, form); return }
    const trace = new Uint8Array(await getBytes(`/api/traces/${path}`))
    if (form === 'pb') { saveBlob(new Blob([trace], { type: 'application/x-protobuf' }), id, form); return }
    const { writeOTLP } = await import('../model/otlpjson')
    saveBlob(new Blob([writeOTLP(trace)], { type: 'application/json' }), id, form)
  } catch (err) { notify((err as Error).message) }
}

/** A link streams into a file, and cannot name a tenant; with one, the browser collects the answer first. */
async function downloadExport(url: string, id: string, form: Form): Promise<void> {
  if (!config.value.multitenancy || !params.value.tenant) { saveFrom(url, id, form); return }
  notify('Collecting the trace …')
  const r = await fetch(url, { headers: headers('*/*') })
  if (!r.ok) throw new Error((await r.text()).trim())
  saveBlob(await r.blob(), id, form)
}

function saveBlob(b: Blob, id: string, form: Form): void {
  const url = URL.createObjectURL(b)
  saveFrom(url, id, form)
  setTimeout(() => URL.revokeObjectURL(url), 10_000)
}

function saveFrom(url: string, id: string, form: Form): void {
  const a = document.createElement('a')
  a.href = url
  a.download = `trace-${id}.${form}`
  a.click()
}
