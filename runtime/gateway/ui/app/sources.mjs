// Writes dist/SOURCES: a checksum over everything that dist is built from, which a test of the
// server compares, so that pages that were changed and not built do not go unnoticed.
import { createHash } from 'node:crypto'
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'

const names = []
function walk(p) {
  if (statSync(p).isDirectory()) for (const n of readdirSync(p)) walk(`${p}/${n}`)
  else if (!p.includes('.test.')) names.push(p)
}
for (const p of ['src', 'public', 'index.html', 'package.json', 'package-lock.json', 'tsconfig.json', 'vite.config.ts']) walk(p)
const sum = createHash('sha256')
const full = names.map((n) => `app/${n}`).sort((a, b) => (a < b ? -1 : a > b ? 1 : 0))
for (const n of full) sum.update(`${n} ${createHash('sha256').update(readFileSync(n.slice(4))).digest('hex')}\n`)
writeFileSync('../dist/SOURCES', sum.digest('hex') + '\n')

// Writes dist/LICENSES.txt: every package that is part of dist, with its licence.
const allowed = ['MIT', 'ISC', 'BSD-2-Clause', 'BSD-3-Clause', 'Apache-2.0']
const lock = JSON.parse(readFileSync('package-lock.json', 'utf8'))
const parts = []
for (const [path, p] of Object.entries(lock.packages)) {
  if (path === '' || p.dev) continue
  if (!allowed.includes(p.license)) throw new Error(`${path}: the licence ${p.license} is not one of ${allowed.join(', ')}`)
  const file = readdirSync(path).find((n) => /^licen[cs]e/i.test(n))
  parts.push(`${path.replace(/^node_modules\//, '')} ${p.version} (${p.license})\n\n${file ? readFileSync(`${path}/${file}`, 'utf8').trim() : ''}\n`)
}
writeFileSync('../dist/LICENSES.txt', parts.join('\n----\n\n'))
