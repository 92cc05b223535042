// The JSON of the API, as far as the pages read it. Integers of 64 bits are strings.

export interface APIValue { stringValue?: string; intValue?: string; doubleValue?: number | string; boolValue?: boolean; arrayValue?: { values?: APIValue[] } }
export interface APIAttribute { key: string; value: APIValue }
export interface FoundSpan { spanID: string; name?: string; startTimeUnixNano: string; durationNanos?: string; attributes?: APIAttribute[] }
export interface SpanSet { spans: FoundSpan[]; matched?: number; attributes?: APIAttribute[] }
export interface FoundTrace {
  traceID: string; rootServiceName?: string; rootTraceName?: string; startTimeUnixNano: string; durationMs?: number
  spanSets?: SpanSet[]; serviceStats?: Record<string, { spanCount?: number; errorCount?: number }>; partial?: boolean
}
export interface AnswerMetrics { inspectedTraces?: number; inspectedBytes?: string; inspectedSpans?: string; completedJobs?: number; totalJobs?: number; totalBlocks?: number }
export interface Completeness { complete?: boolean; warnings?: string[]; watermark?: string; status?: string; message?: string; metrics?: AnswerMetrics; partials?: string[] }
export interface SearchAnswer extends Completeness { traces: FoundTrace[] }
export interface Sample { timestampMs: string; value?: number | string }
export interface Exemplar { labels?: APIAttribute[]; value?: number; timestampMs: string }
export interface SeriesJSON { labels?: APIAttribute[]; samples?: Sample[]; exemplars?: Exemplar[]; value?: number | string }
export interface SeriesAnswer extends Completeness { series: SeriesJSON[] }
export interface TagNames extends Completeness { scopes: { name: string; tags?: string[] }[] }
export interface TagValues extends Completeness { tagValues: { type: string; value?: string }[] }
export interface ExplainStep {
  home: string; part?: number; parts?: number; startTimeUnixNano?: string; endTimeUnixNano?: string; outcome: string; reason?: string
  spans: string; inspectedSpans: string; inspectedBytes: string; reads: number; waves: number; tookMs: number
  columns?: { object: string; column: string; pages: number; of: number }[]
}
export interface ExplainAnswer extends Completeness { traces: number; catalogVersion: string; blocks: number; outOfRange: number; assembled: number; inspectedBytes: string; inspectedSpans: string; steps: ExplainStep[] }
export interface RunningQuery { id: string; tenant: string; op: string; query?: string; state: string; began: string; jobs: number; done: number; blocks: number; inspectedBytes: string; heldSeconds: number }
export interface ActorStatus { kind: string; key?: string; state: string; detail?: Record<string, string>; mailboxDepth: number; handled: number; restarts: number; lastError?: string; loses?: string; children?: ActorStatus[] }

export function valueText(v: APIValue | undefined): string {
  if (!v) return ''
  if (v.stringValue !== undefined) return v.stringValue
  if (v.intValue !== undefined) return v.intValue
  if (v.doubleValue !== undefined) return String(v.doubleValue)
  if (v.boolValue !== undefined) return String(v.boolValue)
  if (v.arrayValue) return `[${(v.arrayValue.values ?? []).map(valueText).join(', ')}]`
  return ''
}

export const sampleValue = (v: number | string | undefined) => v === undefined ? 0 : Number(v)
