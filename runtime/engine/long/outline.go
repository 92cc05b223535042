package long

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"math"
	"slices"
	"strconv"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Outline is what draws a long trace: the details of its spans, in the order of their starts. First
// all keys are added, with their details; then it is arranged, together with its Index; from then
// on it does not change.
// Source: docs/format/outline.md.
type Outline struct {
	Index Index

	pieces   []piece
	byTable  map[uint32][]uint32 // pieces, by table in the order of their rows
	names    textList
	services textList
	list     []outlined
	first    []uint32                // places by the hash of the id, + 1; 0: none
	adopted  map[uint32]uint32       // place of a server that shares the id of its client -> the client's
	servers  map[trace.SpanID]uint32 // a shared id -> the place of the first server
}

// piece is the details of some rows of a table.
type piece struct {
	rows     []uint32
	services []uint16 // by row
	*Details
}

// outlined is a span: what it is ordered by, and where its details are.
type outlined struct {
	start     uint64
	id        trace.SpanID
	piece, at uint32
}

// outlinedBytes is the memory of one span in an Outline beside its key.
const outlinedBytes = 24 + 4 + 2 + 8 + 8 + 4 + 1 + 8

// Values of the columns of parents, names and services.
const (
	noParent    = math.MaxUint32
	unknown     = math.MaxUint32 - 1 // the parent was not received
	notListed   = math.MaxUint32     // of a name
	mostOfTexts = math.MaxUint16     // services
)

// textList numbers texts as far as there is room for them.
type textList struct {
	list   []string
	number map[string]uint32
	bytes  int
}

func (l *textList) numberOf(text string, most int) uint32 {
	n, ok := l.number[text]
	if ok {
		return n
	}
	if len(l.list) >= most || l.bytes+len(text) > namesBytes {
		return notListed
	}
	if l.number == nil {
		l.number = map[string]uint32{}
	}
	n = uint32(len(l.list))
	l.number[text] = n
	l.list, l.bytes = append(l.list, text), l.bytes+len(text)
	return n
}

// Bytes returns about how much memory the outline takes.
func (o *Outline) Bytes() int64 {
	n := o.Index.Bytes() + int64(o.names.bytes+o.services.bytes) + int64(len(o.names.list))*64
	for i := range o.pieces {
		n += int64(len(o.pieces[i].rows)) * outlinedBytes
	}
	return n
}

// Add adds keys of a table, which the caller numbers, with their details, which become the
// outline's. The keys of a table come in the order of their rows.
func (o *Outline) Add(table uint32, k *Keys) {
	o.Index.Add(table, k)
	if o.byTable == nil {
		o.byTable = map[uint32][]uint32{}
	}
	d := k.Details
	names := make([]uint32, len(d.Texts))
	for i, text := range d.Texts {
		names[i] = o.names.numberOf(text, notListed)
	}
	for i, n := range d.Names {
		if d.Names[i] = notListed; int(n) < len(names) {
			d.Names[i] = names[n]
		}
	}
	services := make([]uint16, len(d.Services))
	for i, text := range d.Services {
		services[i] = uint16(min(o.services.numberOf(text, mostOfTexts), mostOfTexts))
	}
	p := piece{rows: k.Rows, services: make([]uint16, len(k.Rows)), Details: d}
	for i, place := range k.Places {
		p.services[i] = services[k.Sent[place].Resource]
	}
	o.byTable[table] = append(o.byTable[table], uint32(len(o.pieces)))
	o.pieces = append(o.pieces, p)
}

// Arrange puts the spans in order and finds their parents.
func (o *Outline) Arrange(ctx context.Context) error {
	if err := o.Index.Arrange(ctx); err != nil {
		return err
	}
	o.list = make([]outlined, 0, o.Index.Spans())
	for it := range o.Index.eachByStart() {
		p, at := o.find(o.Index.places[it.place].table, it.row)
		o.list = append(o.list, outlined{start: it.start, id: it.id, piece: p, at: at})
	}
	o.Index.items, o.Index.contents = nil, nil
	o.numberTexts()
	return o.indexIDs(ctx)
}

// numberTexts numbers names and services anew, in the order in which spans have them.
func (o *Outline) numberTexts() {
	names, services := renumber(&o.names), renumber(&o.services)
	for i := range o.list {
		s := &o.list[i]
		p := &o.pieces[s.piece]
		p.Names[s.at] = names.numberOf(p.Names[s.at])
		p.services[s.at] = uint16(min(services.numberOf(uint32(p.services[s.at])), mostOfTexts))
	}
	o.names.list, o.services.list = names.list, services.list
}

// newNumbers numbers the texts of a list anew, in the order in which they are asked for.
type newNumbers struct {
	old  []string
	list []string
	by   []uint32 // the new number + 1
}

func renumber(l *textList) newNumbers {
	return newNumbers{old: l.list, by: make([]uint32, len(l.list))}
}

func (r *newNumbers) numberOf(n uint32) uint32 {
	if int(n) >= len(r.old) {
		return notListed
	}
	if r.by[n] == 0 {
		r.list = append(r.list, r.old[n])
		r.by[n] = uint32(len(r.list))
	}
	return r.by[n] - 1
}

// find returns where the details of a row are.
func (o *Outline) find(table, row uint32) (piece, at uint32) {
	list := o.byTable[table]
	i, _ := slices.BinarySearchFunc(list, row, func(n, row uint32) int {
		rows := o.pieces[n].rows
		return cmp.Compare(rows[len(rows)-1], row)
	})
	rows := o.pieces[list[i]].rows
	if k := row - rows[0]; int(k) < len(rows) && rows[k] == row { // mostly they have no gaps
		return list[i], k
	}
	k, _ := slices.BinarySearch(rows, row)
	return list[i], uint32(k)
}

// indexIDs makes it possible to find spans by their ids, and finds servers that share the id of
// their client.
func (o *Outline) indexIDs(ctx context.Context) error {
	size := 16
	for size < len(o.list)*3/2 {
		size *= 2
	}
	o.first = make([]uint32, size)
	repeated := map[trace.SpanID][]uint32{} // places of ids that several spans have
	for i := range o.list {
		if i&0xffff == 0xffff && ctx.Err() != nil {
			return ctx.Err()
		}
		at := o.slotOf(o.list[i].id)
		if o.first[at] == 0 {
			o.first[at] = uint32(i) + 1
			continue
		}
		id := o.list[i].id
		if len(repeated[id]) == 0 {
			repeated[id] = append(repeated[id], o.first[at]-1)
		}
		repeated[id] = append(repeated[id], uint32(i))
	}
	for id, places := range repeated {
		o.linkServers(id, places)
	}
	return nil
}

// slotOf returns where in first an id is, or is to be.
func (o *Outline) slotOf(id trace.SpanID) int {
	mask := len(o.first) - 1
	h := idNumber(id) * 0x9e3779b97f4a7c15
	for at := int((h^h>>32)*0x9e3779b97f4a7c15>>20) & mask; ; at = (at + 1) & mask {
		if n := o.first[at]; n == 0 || o.list[n-1].id == id {
			return at
		}
	}
}

// linkServers makes the servers among spans that share an id children of the client among them.
func (o *Outline) linkServers(id trace.SpanID, places []uint32) {
	is := func(kind int32) func(uint32) bool {
		return func(n uint32) bool { return o.flagsAt(int(n)).kind() == kind }
	}
	client := slices.IndexFunc(places, is(trace.KindClient))
	server := slices.IndexFunc(places, is(trace.KindServer))
	if client < 0 || server < 0 {
		return
	}
	if o.servers == nil {
		o.servers, o.adopted = map[trace.SpanID]uint32{}, map[uint32]uint32{}
	}
	o.servers[id] = places[server]
	for _, n := range places {
		if is(trace.KindServer)(n) {
			o.adopted[n] = places[client]
		}
	}
}

func (o *Outline) flagsAt(i int) Flags {
	s := &o.list[i]
	return o.pieces[s.piece].Flags[s.at]
}

// parentOf returns the place of a span's parent.
func (o *Outline) parentOf(i int) uint32 {
	if n, ok := o.adopted[uint32(i)]; ok {
		return n
	}
	s := &o.list[i]
	parent := o.pieces[s.piece].Parents[s.at]
	if parent.IsZero() {
		return noParent
	}
	if n, ok := o.servers[parent]; ok {
		return n
	}
	if n := o.first[o.slotOf(parent)]; n > 0 {
		return n - 1
	}
	return unknown
}

// OutlineAbout is what the header of an outline says about the answer.
type OutlineAbout struct {
	TraceID   trace.ID
	Complete  bool
	Warnings  []string
	Watermark int64 // unix ns; 0: not known
}

// otlpBytesOfSpan is how large a span is as OTLP, about.
const otlpBytesOfSpan = 400

// AppendHeader appends what stands before the columns.
func (o *Outline) AppendHeader(dst []byte, about OutlineAbout) ([]byte, error) {
	h := struct {
		TraceID   string   `json:"traceId"`
		Spans     int      `json:"spans"`
		Start     string   `json:"startUnixNano"`
		OTLPBytes int      `json:"otlpBytes"`
		Complete  bool     `json:"complete"`
		Warnings  []string `json:"warnings"`
		Watermark string   `json:"watermark,omitempty"`
		Services  []string `json:"services"`
		Names     []string `json:"names"`
	}{
		TraceID:   about.TraceID.String(),
		Spans:     len(o.list),
		Start:     strconv.FormatUint(o.start(), 10),
		OTLPBytes: len(o.list) * otlpBytesOfSpan,
		Complete:  about.Complete,
		Warnings:  append([]string{}, about.Warnings...),
		Services:  append([]string{}, o.services.list...),
		Names:     append([]string{}, o.names.list...),
	}
	if about.Watermark > 0 {
		h.Watermark = strconv.FormatInt(about.Watermark, 10)
	}
	text, err := json.Marshal(h)
	if err != nil {
		return nil, err
	}
	for len(text)%8 != 0 {
		text = append(text, ' ')
	}
	dst = append(dst, "TRO1"...)
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(text)))
	return append(dst, text...), nil
}

func (o *Outline) start() uint64 {
	if len(o.list) == 0 {
		return 0
	}
	return o.list[0].start
}

// OutlinePosition is a place in the columns of an arranged Outline. The zero value is the begin.
type OutlinePosition struct{ Column, Span int }

// outlineColumns appends what the columns have of a span, in their order.
var outlineColumns = [...]func(o *Outline, dst []byte, i int) []byte{
	func(o *Outline, dst []byte, i int) []byte {
		return appendFloat(dst, float64(o.list[i].start-o.start()))
	},
	func(o *Outline, dst []byte, i int) []byte {
		s := &o.list[i]
		return appendFloat(dst, float64(o.pieces[s.piece].Durations[s.at]))
	},
	func(o *Outline, dst []byte, i int) []byte {
		return binary.LittleEndian.AppendUint64(dst, idNumber(o.list[i].id))
	},
	func(o *Outline, dst []byte, i int) []byte {
		return binary.LittleEndian.AppendUint32(dst, o.parentOf(i))
	},
	func(o *Outline, dst []byte, i int) []byte {
		s := &o.list[i]
		return binary.LittleEndian.AppendUint32(dst, o.pieces[s.piece].Names[s.at])
	},
	func(o *Outline, dst []byte, i int) []byte {
		s := &o.list[i]
		return binary.LittleEndian.AppendUint16(dst, o.pieces[s.piece].services[s.at])
	},
	func(o *Outline, dst []byte, i int) []byte { return append(dst, byte(o.flagsAt(i))) },
}

func appendFloat(dst []byte, f float64) []byte {
	return binary.LittleEndian.AppendUint64(dst, math.Float64bits(f))
}

// spansOfPart is how many values of a column are appended before the size of a part is looked at.
const spansOfPart = 1 << 13

// AppendColumns appends the columns from a position on, up to about most bytes, and returns where
// they go on.
func (o *Outline) AppendColumns(dst []byte, at OutlinePosition, most int) ([]byte, OutlinePosition) {
	for begin := len(dst); !o.IsEnd(at) && len(dst)-begin < most; {
		value := outlineColumns[at.Column]
		to := min(at.Span+spansOfPart, len(o.list))
		from := len(dst)
		for i := at.Span; i < to; i++ {
			dst = value(o, dst, i)
		}
		if at.Span = to; to == len(o.list) {
			for (len(dst)-from)%8 != 0 { // spansOfPart values fill whole words
				dst = append(dst, 0)
			}
			at = OutlinePosition{Column: at.Column + 1}
		}
	}
	return dst, at
}

// IsEnd reports whether nothing comes after a position.
func (o *Outline) IsEnd(at OutlinePosition) bool { return at.Column == len(outlineColumns) }
