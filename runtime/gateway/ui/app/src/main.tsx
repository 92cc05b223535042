import { render } from 'preact'
import { useEffect, useState } from 'preact/hooks'
import { config, loadConfig } from './api/config'
import { Shell } from './parts/shell'
import { Empty, Failure } from './parts/states'
import { addressOf, follow, screen } from './router'
import { HomeScreen } from './screens/home'
import { later } from './parts/later'
import { SearchScreen } from './screens/search'
import { TraceScreen } from './screens/trace'
import './style/base.css'

// The first page, searches and traces come at once, everything else when it is first shown.
const CompareScreen = later(() => import('./screens/compare').then((m) => m.CompareScreen))
const ServicesScreen = later(() => import('./screens/services').then((m) => m.ServicesScreen))
const MapScreen = later(() => import('./screens/map').then((m) => m.MapScreen))
const TailScreen = later(() => import('./screens/tail').then((m) => m.TailScreen))
const DiffScreen = later(() => import('./screens/diff').then((m) => m.DiffScreen))
const SendingScreen = later(() => import('./screens/sending').then((m) => m.SendingScreen))
const FileScreen = later(() => import('./screens/file').then((m) => m.FileScreen))
const ExplainScreen = later(() => import('./screens/explain').then((m) => m.ExplainScreen))
const NodeScreen = later(() => import('./screens/node').then((m) => m.NodeScreen))

function App() {
  const [state, setState] = useState<Error | 'loading' | 'ready'>('loading')
  const load = () => { setState('loading'); loadConfig().then(() => setState('ready'), setState) }
  useEffect(() => { document.addEventListener('click', follow); load(); return () => document.removeEventListener('click', follow) }, [])
  useEffect(() => { if (screen.value !== 'trace') document.title = config.value.title }, [screen.value, state])
  if (state === 'loading') return null
  if (state !== 'ready') return <main><Failure error={state} retry={load} /></main>
  return <Shell><Screen /></Shell>
}

function Screen() {
  switch (screen.value) {
    case '': return <HomeScreen />
    case 'search': return <SearchScreen />
    case 'trace': return <TraceScreen />
    case 'compare': return <CompareScreen />
    case 'services': return <ServicesScreen />
    case 'map': return <MapScreen />
    case 'tail': return <TailScreen />
    case 'diff': return <DiffScreen />
    case 'sending': return <SendingScreen />
    case 'file': return <FileScreen />
    case 'explain': return <ExplainScreen />
    case 'node': return <NodeScreen />
  }
  return <Empty title="There is no such page"><a href={addressOf('')}>To the first page</a></Empty>
}

render(<App />, document.getElementById('app')!)
