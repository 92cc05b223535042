import { signal } from '@preact/signals'

/** What the server tells the pages about itself: GET config.json. */
export interface Config {
  version: string
  apiPrefix: string
  title: string
  multitenancy: boolean
  tenants: string[]
  limits: { searchSeconds: number; metricsSeconds: number; searchLimit: number }
  features: string[]
  links: { name: string; url: string }[]
  defaultQuery: string
  defaultRange: string
}

export const config = signal<Config>({
  version: '', apiPrefix: '', title: 'Troupe', multitenancy: false, tenants: [],
  limits: { searchSeconds: 604800, metricsSeconds: 86400, searchLimit: 262144 }, features: [], links: [], defaultQuery: '', defaultRange: '1h',
})

export async function loadConfig(): Promise<void> {
  const r = await fetch(new URL('config.json', document.baseURI))
  if (!r.ok) throw new Error(`config.json: ${r.status} ${await r.text()}`)
  config.value = await r.json()
}

/** Whether the node has an addition to the API. */
export const has = (feature: string) => config.value.features.includes(feature)
