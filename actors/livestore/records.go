package livestore

import (
	"cmp"
	"slices"
	"time"

	"github.com/troupe-tracing/troupe/runtime/engine/jobs"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
)

// recordList describes the records held, but not their spans. It tells the age and size of what no
// block has yet, and where a cut may end.
type recordList struct {
	list []record // by offset
	// routedBy are the numbers of partitions that records were routed by, each with the offset of
	// the last such record.
	routedBy map[int32]int64
	aside    []jobs.AsideRecord // records that were set aside, by offset
}

type record struct {
	offset  int64
	bytes   int64 // of this record and all before it since the attachment
	parts   int32
	arrived time.Time // by the clock of whoever wrote it
	read    time.Time // by this actor's clock
	// fingerprint is known of the last record of each read only: then ended is true.
	fingerprint kafkalog.Fingerprint
	ended       bool
}

func (l *recordList) add(r kafkalog.Record, now time.Time) {
	if l.routedBy == nil {
		l.routedBy = map[int32]int64{}
	}
	l.routedBy[r.Parts] = r.Offset
	bytes := int64(len(r.Value))
	if n := len(l.list); n > 0 {
		bytes += l.list[n-1].bytes
	}
	l.list = append(l.list, record{offset: r.Offset, bytes: bytes, parts: r.Parts, arrived: r.Time, read: now})
}

func (l *recordList) addAside(r kafkalog.Record, reason error) {
	l.aside = append(l.aside, jobs.AsideRecord{
		Offset:  r.Offset,
		Tenant:  claimedTenant(r),
		Arrival: r.Time.UnixNano(),
		Reason:  reason.Error(),
		Foreign: r.Format == "",
	})
}

// claimedTenant returns the tenant of a record that was set aside; empty: nobody can tell whose
// spans it has.
func claimedTenant(r kafkalog.Record) string {
	if r.Format != kafkalog.FormatOTLP || checkTenant(r.Tenant) != nil {
		return ""
	}
	return r.Tenant
}

// markLast keeps the fingerprint of the last record.
func (l *recordList) markLast(f kafkalog.Fingerprint) {
	if n := len(l.list); n > 0 {
		l.list[n-1].fingerprint, l.list[n-1].ended = f, true
	}
}

// lastMark returns the last record; nil: there is none, or its fingerprint is not known.
func (l *recordList) lastMark() *mark {
	if n := len(l.list); n > 0 && l.list[n-1].ended {
		return &mark{offset: l.list[n-1].offset, fingerprint: l.list[n-1].fingerprint}
	}
	return nil
}

// indexOf returns the index of the first record from an offset on.
func (l *recordList) indexOf(offset int64) int {
	i, _ := slices.BinarySearchFunc(l.list, offset, func(r record, o int64) int { return cmp.Compare(r.offset, o) })
	return i
}

// bytesBetween returns the bytes of the records in [from, to).
func (l *recordList) bytesBetween(from, to int64) int64 {
	before := func(offset int64) int64 {
		if i := l.indexOf(offset); i > 0 {
			return l.list[i-1].bytes
		}
		return 0
	}
	return before(to) - before(from)
}

// asideBetween returns the records of [from, to) that were set aside.
func (l *recordList) asideBetween(from, to int64) []jobs.AsideRecord {
	at := func(offset int64) int {
		compare := func(r jobs.AsideRecord, o int64) int { return cmp.Compare(r.Offset, o) }
		i, _ := slices.BinarySearchFunc(l.aside, offset, compare)
		return i
	}
	i, j := at(from), at(to)
	return slices.Clone(l.aside[i:max(i, j)])
}

// partsFrom lists every number of partitions that records from an offset on were routed by.
func (l *recordList) partsFrom(offset int64) (out []int32) {
	for n, last := range l.routedBy {
		if n > 0 && last >= offset {
			out = append(out, n)
		}
	}
	slices.Sort(out)
	return out
}

func (l *recordList) dropBelow(offset int64) {
	if i := l.indexOf(offset); i > 0 {
		i-- // the record before tells how many bytes lie below
		l.list = slices.Clone(l.list[i:])
	}
	l.aside = slices.DeleteFunc(l.aside, func(r jobs.AsideRecord) bool { return r.Offset < offset })
}
