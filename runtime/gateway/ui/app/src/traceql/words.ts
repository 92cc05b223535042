// The words of TraceQL. A Go test compares these lists with the language's own.

export const keywords = ['true', 'false', 'nil', 'ok', 'error', 'unset', 'unspecified', 'internal', 'server', 'client', 'producer', 'consumer', 'minInt', 'maxInt']

export const intrinsics = [
  'duration', 'name', 'status', 'statusMessage', 'kind', 'rootName', 'rootServiceName', 'traceDuration', 'nestedSetLeft', 'nestedSetRight', 'nestedSetParent',
  'span:duration', 'span:name', 'span:status', 'span:statusMessage', 'span:kind', 'span:id', 'span:parentID', 'span:childCount',
  'trace:duration', 'trace:rootName', 'trace:rootService', 'trace:id', 'event:name', 'event:timeSinceStart',
  'link:traceID', 'link:spanID', 'resource:id', 'instrumentation:name', 'instrumentation:version',
]

export const scopes = ['span.', 'resource.', 'event.', 'link.', 'instrumentation.']

/** Functions with what follows their name, and what they are for. */
export const functions: { name: string; rest: string; info: string; metrics?: boolean }[] = [
  { name: 'count', rest: '() > ', info: 'number of spans in the set' },
  { name: 'avg', rest: '(duration) > ', info: 'mean of a field over the set' },
  { name: 'max', rest: '(duration) > ', info: 'largest value in the set' },
  { name: 'min', rest: '(duration) > ', info: 'smallest value in the set' },
  { name: 'sum', rest: '(duration) > ', info: 'sum over the set' },
  { name: 'by', rest: '(resource.service.name)', info: 'a set for each value' },
  { name: 'coalesce', rest: '()', info: 'joins the sets of a trace' },
  { name: 'select', rest: '(span.http.route)', info: 'shows a field as a column' },
  { name: 'rate', rest: '()', info: 'spans a second', metrics: true },
  { name: 'count_over_time', rest: '()', info: 'spans in each step', metrics: true },
  { name: 'min_over_time', rest: '(duration)', info: 'smallest value in each step', metrics: true },
  { name: 'max_over_time', rest: '(duration)', info: 'largest value in each step', metrics: true },
  { name: 'avg_over_time', rest: '(duration)', info: 'mean in each step', metrics: true },
  { name: 'sum_over_time', rest: '(duration)', info: 'sum in each step', metrics: true },
  { name: 'quantile_over_time', rest: '(duration, .5, .95, .99)', info: 'quantiles in each step', metrics: true },
  { name: 'histogram_over_time', rest: '(duration)', info: 'counts by size in each step', metrics: true },
  { name: 'compare', rest: '({ status = error })', info: 'what tells a selection from the rest', metrics: true },
  { name: 'topk', rest: '(10)', info: 'the largest series', metrics: true },
  { name: 'bottomk', rest: '(10)', info: 'the smallest series', metrics: true },
  { name: 'with', rest: '(exemplars=true)', info: 'hints' },
]
