package traceql

import "context"

// Search evaluates a search over one home. Traces of shared are left out and named as candidates where they may match.
func Search(ctx context.Context, t Fetcher, r *SearchRequest, shared Set) (*SearchPartial, error) {
	panic("BUG: not built")
}

// Merge adds the partial result of another home and keeps the newest limit traces.
func (p *SearchPartial) Merge(o *SearchPartial, limit int) { panic("BUG: not built") }

// Tags lists attribute names.
func Tags(ctx context.Context, t Fetcher, r *TagsRequest) (TagNames, error) {
	panic("BUG: not built")
}

// Merge adds the names of another home.
func (n TagNames) Merge(o TagNames) { panic("BUG: not built") }

// Values lists the values of a field.
func Values(ctx context.Context, t Fetcher, r *ValuesRequest) (*TagValues, error) {
	panic("BUG: not built")
}

// Merge adds the values of another home and keeps the lexicographically first maxBytes of them.
func (v *TagValues) Merge(o *TagValues, maxBytes int) { panic("BUG: not built") }
