// Colours of services: one of 24 hues of equal lightness, by the name, so that a service has the same
// colour everywhere and what is written on it can always be read.

const cache = new Map<string, number>()

function hueOf(name: string): number {
  let h = cache.get(name)
  if (h === undefined) {
    let x = 2166136261
    for (let i = 0; i < name.length; i++) x = Math.imul(x ^ name.charCodeAt(i), 16777619)
    x ^= x >>> 15
    h = ((x >>> 0) % 24) * 15
    cache.set(name, h)
  }
  return h
}

/** The colour of a service as CSS, for the page. */
export function serviceColor(name: string): string {
  return `oklch(var(--bar-l) var(--bar-c) ${hueOf(name)})`
}

/** The values of CSS variables, for canvases. */
export interface Palette {
  text: string; text2: string; text3: string; line: string; panel: string; accent: string; error: string; path: string; select: string; hover: string; warn: string
  service(name: string): string
  /** What is written on a bar of a service. */
  onService: string
  soft(name: string): string
  series(i: number): string
}

export function readPalette(): Palette {
  const css = getComputedStyle(document.documentElement)
  const v = (name: string) => css.getPropertyValue(name).trim()
  const l = v('--bar-l'), c = v('--bar-c')
  return {
    text: v('--text'), text2: v('--text-2'), text3: v('--text-3'), line: v('--line'), panel: v('--panel'), accent: v('--accent'), error: v('--error'),
    path: v('--path'), select: v('--select'), hover: v('--hover'), warn: v('--warn'),
    onService: v('--on-bar'),
    service: (name) => `oklch(${l} ${c} ${hueOf(name)})`,
    series: (i) => `oklch(${l} ${c} ${Math.round(270 + i * 137.5) % 360})`,
    soft: (name) => `oklch(${l} ${c} ${hueOf(name)} / 38%)`,
  }
}
