package tempofiles

type nestedAttribute struct {
	Key              string
	IsArray          bool
	Value            []string  `parquet:",list"`
	ValueInt         []int64   `parquet:",list"`
	ValueDouble      []float64 `parquet:",list"`
	ValueBool        []bool    `parquet:",list"`
	ValueUnsupported *string   `parquet:",optional"`
}

type nestedDedicated struct {
	String01, String02, String03 *string `parquet:",optional"`
}

type nestedEvent struct {
	TimeSinceStartNano     uint64
	Name                   string
	Attrs                  []nestedAttribute `parquet:",list"`
	DroppedAttributesCount int32
}

type nestedLink struct {
	TraceID, SpanID        []byte
	TraceState             string
	Attrs                  []nestedAttribute `parquet:",list"`
	DroppedAttributesCount int32
}

type nestedSpan struct {
	SpanID, ParentSpanID      []byte
	NestedSetLeft, ChildCount int32
	Name                      string
	Kind                      int64
	TraceState                string
	StartTimeUnixNano         uint64 `parquet:",delta"`
	DurationNano              uint64
	StatusCode                int64
	StatusMessage             string
	Attrs                     []nestedAttribute `parquet:",list"`
	DroppedAttributesCount    int32
	Events                    []nestedEvent `parquet:",list"`
	DroppedEventsCount        int32
	Links                     []nestedLink `parquet:",list"`
	DroppedLinksCount         int32
	HttpMethod                *string `parquet:",snappy,optional,dict"`
	HttpStatusCode            *int64  `parquet:",optional"`
	DedicatedAttributes       nestedDedicated
	UnheardOf                 *string `parquet:",optional"`
}

type nestedScopeSpans struct {
	Scope struct {
		Name, Version          string
		Attrs                  []nestedAttribute `parquet:",list"`
		DroppedAttributesCount int32
	}
	Spans []nestedSpan `parquet:",list"`
}

type nestedResourceSpans struct {
	Resource struct {
		Attrs                  []nestedAttribute `parquet:",list"`
		DroppedAttributesCount int32
		ServiceName            *string `parquet:",dict,optional"`
		K8sPodName             *string `parquet:",optional"`
		DedicatedAttributes    nestedDedicated
	}
	ScopeSpans []nestedScopeSpans `parquet:",list"`
}

type nestedTrace struct {
	TraceID         []byte
	RootServiceName string
	DurationNano    uint64
	ServiceStats    map[string]int64
	ResourceSpans   []nestedResourceSpans `parquet:",list"`
}

type flatAttribute struct {
	Key         string
	IsArray     bool
	Value       []string
	ValueInt    []int64
	ValueDouble []float64
	ValueBool   []bool
	ValueOther  *string `parquet:",optional"`
}

type flatDedicated struct {
	String01, String02 []string `parquet:",zstd"`
	Int01              *int64   `parquet:",optional"`
}

type flatEvent struct {
	TimeUnixNano           int64
	Name                   string
	Attributes             []flatAttribute
	DroppedAttributesCount int32
	DedicatedAttributes    struct {
		String01 []string
	}
}

type flatSpan struct {
	SpanID, ParentSpanID []byte
	Name                 string
	Kind                 int32
	TraceState           string
	StartTimeUnixNano    int64
	StartTimeRounded300  int64
	EndTimeUnixNano      int64
	Status               struct {
		Code    int32
		Message string
	}
	Flags      int32
	Attributes []flatAttribute
	Events     []flatEvent
	Links      []struct {
		TraceID, SpanID []byte
		TraceState      string
		Flags           int32
		Attributes      []flatAttribute
	}
	DroppedAttributesCount, DroppedEventsCount, DroppedLinksCount int32
	DedicatedAttributes                                           flatDedicated
}

type flatTrace struct {
	TraceID       []byte
	ResourceSpans []struct {
		Resource struct {
			Attributes          []flatAttribute
			DedicatedAttributes flatDedicated
		}
		SchemaUrl  string
		ScopeSpans []struct {
			InstrumentationScope struct {
				Name, Version string
				Attributes    []flatAttribute
			}
			Spans []flatSpan
		}
	}
}
