// Package otlp takes spans in over OTLP.
package otlp

import "context"

// PushResult is what became of a request that was accepted as a whole.
type PushResult struct {
	Spans    int    // stored durably
	Rejected int    // refused for good; sent back as partial_success
	Message  string // why, when Rejected is not zero
}

// Pusher stores the spans of one tenant. It returns when they are durable. It may keep otlp: the gateway does not reuse it.
// Errors carry their class (kernel/status); an error means that the client has to send all again.
type Pusher interface {
	Push(ctx context.Context, tenant string, otlp []byte) (PushResult, error)
}
