package httpapi

import (
	"math"
	"time"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/gateway/query"
)

// nodeStatus is the answer of GET /api/status/node.
type nodeStatus struct {
	Partitions []partitionStatus `json:"partitions"`
	Catalog    catalogStatus     `json:"catalog"`
	Memory     memoryStatus      `json:"memory"`
	Queries    queriesStatus     `json:"queries"`
}

type partitionStatus struct {
	Partition  int32    `json:"partition"`
	Covered    int64    `json:"covered,string"`
	Head       int64    `json:"head,string"`
	LagSeconds *float64 `json:"lagSeconds,omitempty"` // nil: not known
	Spans      int64    `json:"spans,string"`
	Trouble    string   `json:"trouble,omitempty"`
}

type catalogStatus struct {
	Version  uint64 `json:"version,string"`
	Blocks   int    `json:"blocks"`
	Spans    int64  `json:"spans,string"`
	Bytes    int64  `json:"bytes,string"`
	Gaps     int    `json:"gaps"`
	SetAside int    `json:"setAside"`
}

type memoryStatus struct {
	UsedBytes  int64 `json:"usedBytes,string"`
	LimitBytes int64 `json:"limitBytes,string,omitempty"` // 0: none
}

type queriesStatus struct {
	Running int `json:"running"`
	Queued  int `json:"queued"`
}

// serveNode answers how far the node has read, which blocks there are, and what runs.
func (a *handlers) serveNode(c *call) error {
	s, err := a.DescribeNode(c.ctx, c.tenants)
	if err != nil {
		return err
	}
	out := nodeStatus{
		Partitions: []partitionStatus{},
		Catalog:    catalogStatus{Version: s.Version, Blocks: len(s.Blocks), Gaps: s.Gaps, SetAside: s.SetAside},
		Memory:     memoryStatus{UsedBytes: s.Memory},
	}
	if s.Limit < math.MaxInt64 {
		out.Memory.LimitBytes = s.Limit
	}
	for _, m := range s.Blocks {
		out.Catalog.Spans += m.GetSpans()
		out.Catalog.Bytes += m.GetBytes()
	}
	for _, p := range s.Partitions {
		out.Partitions = append(out.Partitions, describePartition(p))
	}
	for _, q := range s.Queries {
		if q.State == "queued" {
			out.Queries.Queued++
		} else {
			out.Queries.Running++
		}
	}
	return c.sendJSON(out)
}

func describePartition(p query.PartitionStatus) partitionStatus {
	out := partitionStatus{Partition: p.Partition, Covered: p.Covered, Head: p.Head, Spans: p.Spans, Trouble: p.Trouble}
	if p.Lag >= 0 {
		lag := p.Lag.Round(time.Millisecond).Seconds()
		out.LagSeconds = &lag
	}
	return out
}

// listedBlocks is the answer of GET /api/blocks.
type listedBlocks struct {
	Version uint64        `json:"catalogVersion,string"`
	Total   int           `json:"total"` // in the range, listed or not
	Blocks  []listedBlock `json:"blocks"`
}

type listedBlock struct {
	ID        string `json:"id"`
	Tenant    string `json:"tenant"`
	Partition int32  `json:"partition"`
	Level     int32  `json:"level"`
	Start     uint64 `json:"startTimeUnixNano,string"`
	End       uint64 `json:"endTimeUnixNano,string"`
	Spans     int64  `json:"spans,string"`
	Traces    int64  `json:"traces,string"`
	Bytes     int64  `json:"bytes,string"`
}

// The blocks of one answer of /api/blocks.
const (
	someBlocks = 1000
	mostBlocks = 100_000
)

// serveBlocks lists the blocks of the tenants, newest first.
func (a *handlers) serveBlocks(c *call) error {
	v := c.r.URL.Query()
	limit, err := parseNumber(v, "limit")
	switch {
	case err != nil:
		return err
	case limit == 0 && v.Get("limit") != "":
		return invalidf("invalid limit: must be a positive number")
	case limit > mostBlocks:
		return invalidf("limit %d exceeds max limit %d", limit, mostBlocks)
	case limit == 0:
		limit = someBlocks
	}
	span, err := a.parseTagsRange(v)
	if err != nil {
		return err
	}
	start, end := span.Start*uint64(time.Second), uint64(math.MaxUint64)
	if span.End > 0 && span.End < math.MaxInt64/uint64(time.Second) {
		end = span.End * uint64(time.Second)
	}
	if end <= start || span.Start > math.MaxInt64/uint64(time.Second) {
		return invalidf("http parameter start must be before end. received start=%d end=%d", span.Start, span.End)
	}
	list, version, err := a.ListBlocks(c.ctx, c.tenants, start, end)
	if err != nil {
		return err
	}
	out := listedBlocks{Version: version, Total: len(list), Blocks: []listedBlock{}}
	for _, m := range list[:min(len(list), int(limit))] {
		out.Blocks = append(out.Blocks, describeBlock(m))
	}
	return c.sendJSON(out)
}

func describeBlock(m *blocks.BlockMeta) listedBlock {
	return listedBlock{
		ID:        m.GetId(),
		Tenant:    m.GetTenant(),
		Partition: m.GetPartition(),
		Level:     m.GetLevel(),
		Start:     m.GetMinStartUnixNano(),
		End:       m.GetMaxEndUnixNano(),
		Spans:     m.GetSpans(),
		Traces:    m.GetTraces(),
		Bytes:     m.GetBytes(),
	}
}
