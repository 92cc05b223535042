package refusals

// Reason says why something was refused or changed. Reasons are few and fixed: they are values of a
// label.
type Reason string

// Reasons why a whole request is refused before its spans are looked at.
const (
	NoTenant            Reason = "no_tenant"            // multitenancy is on and the request names no tenant
	InvalidTenant       Reason = "invalid_tenant"       // the tenant's name cannot be one
	WrongEndpoint       Reason = "wrong_endpoint"       // the path, port or method is not one for traces
	UnsupportedType     Reason = "unsupported_type"     // the content type is not one that the receiver reads
	UnsupportedEncoding Reason = "unsupported_encoding" // the compression is not one that the receiver reads
	Unpackable          Reason = "unpackable"           // the compressed bytes are damaged
	MessageTooLarge     Reason = "message_too_large"    // the request is larger than the receiver's limit
	Incomplete          Reason = "incomplete"           // the request did not arrive whole, or not in time
	Malformed           Reason = "malformed"            // the request is not the message it should be
	OverCapacity        Reason = "over_capacity"        // the node takes no more at the moment
	RateLimited         Reason = "rate_limited"         // the tenant is over its rate
	LogFull             Reason = "log_full"             // the log has reached storage.trace.wal.max_bytes
	DiskFull            Reason = "disk_full"            // the disk of the log has too little space left for blocks
	// the log could not be written; whether the spans are kept is not known
	LogFailed    Reason = "log_failed"
	ShuttingDown Reason = "shutting_down" // the node is ending
	Unavailable  Reason = "unavailable"   // something inside the node did not answer
)

// Reasons why spans are refused while the rest of their request is kept.
const (
	InvalidID       Reason = "invalid_id"        // the trace id or span id is missing, zero or of a wrong length
	MalformedSpan   Reason = "malformed_span"    // the span is not the message it should be
	SpanTooLarge    Reason = "span_too_large"    // the span does not fit a record, even with its values cut
	TraceTooLarge   Reason = "trace_too_large"   // the trace has more bytes than the tenant's max_bytes_per_trace
	RequestTooLarge Reason = "request_too_large" // large resources are repeated for few spans
	TooManyTags     Reason = "too_many_tags"     // the span has more tags than its format's receiver takes
)

// Reasons why something is kept in another form than it was sent.
const (
	ValuesCut    Reason = "values_cut"    // the largest values of a span or resource were cut, so that it fits
	ValuesNested Reason = "values_nested" // values nested too deep were folded
	OldNames     Reason = "old_names"     // the request has fields of an old version of OTLP, which are not read
)
