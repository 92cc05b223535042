package tempo

import (
	"bytes"
	"fmt"
	"math"
	"slices"

	"github.com/parquet-go/parquet-go"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// attributeReader keeps memory for the attributes of one thing.
type attributeReader struct {
	elements []trace.Value
}

// readAttributes appends the attributes of a list of keys and values.
func (r *reader) readAttributes(list *node, dst []trace.Attribute) ([]trace.Attribute, error) {
	err := r.each(list, func(n *node) error {
		a, err := r.readAttribute(n)
		dst = append(dst, a)
		return err
	})
	return dst, err
}

// readAttribute reads one key and its values.
func (r *reader) readAttribute(n *node) (a trace.Attribute, err error) {
	array := false
	var raw []byte
	r.elements = r.elements[:0]
	for _, c := range n.children {
		switch c.role {
		case key:
			err = r.takeEach(c, func(v parquet.Value) error { a.Key = v.ByteArray(); return nil })
		case isArray:
			err = r.takeEach(c, func(v parquet.Value) error { array = v.Boolean(); return nil })
		case rawValue:
			err = r.takeEach(c, func(v parquet.Value) error { raw = v.ByteArray(); return nil })
		case values:
			err = r.takeEach(c, r.addElement)
		default:
			err = r.drop(c, true)
		}
		if err != nil {
			return a, err
		}
	}
	switch {
	case len(raw) > 0 && len(r.elements) == 0:
		a.Value = readRaw(raw)
	case array || len(r.elements) > 1:
		a.Value = arrayOf(r.elements)
	case len(r.elements) == 1:
		a.Value = r.elements[0]
	}
	return a, nil
}

// sortAttributes sorts attributes by key: columns do not tell in which order they were sent, and
// what two blocks hold of one span must be equal, whichever columns they have.
func sortAttributes(list []trace.Attribute) {
	slices.SortStableFunc(list, func(a, b trace.Attribute) int { return bytes.Compare(a.Key, b.Key) })
}

// readDedicated reads the values of a column that holds one attribute. ok is false if it has none.
func (r *reader) readDedicated(n *node) (a trace.Attribute, ok bool, err error) {
	r.elements = r.elements[:0]
	if err = r.takeEach(n, r.addElement); err != nil || len(r.elements) == 0 {
		return a, false, err
	}
	a.Key, a.Value = n.name0, r.elements[0]
	if len(r.elements) > 1 {
		a.Value = arrayOf(r.elements)
	}
	return a, true, nil
}

// takeEach calls f with each value of a leaf, or of a list of leaves.
func (r *reader) takeEach(n *node, f func(parquet.Value) error) error {
	return r.each(n, func(n *node) error {
		if !n.leaf {
			return &UnknownColumn{Path: n.path}
		}
		v, ok, err := r.takeLeaf(n)
		if err != nil || !ok {
			return err
		}
		return f(v)
	})
}

func (r *reader) addElement(v parquet.Value) error {
	out := trace.Value{}
	switch v.Kind() {
	case parquet.Boolean:
		out.Type = trace.Bool
		if v.Boolean() {
			out.Num = 1
		}
	case parquet.Int32:
		out.Type, out.Num = trace.Int, uint64(int64(v.Int32()))
	case parquet.Int64:
		out.Type, out.Num = trace.Int, uint64(v.Int64())
	case parquet.Float:
		out.Type, out.Num = trace.Float, math.Float64bits(float64(v.Float()))
	case parquet.Double:
		out.Type, out.Num = trace.Float, math.Float64bits(v.Double())
	case parquet.ByteArray, parquet.FixedLenByteArray:
		out.Type, out.Bytes = trace.String, v.ByteArray()
	default:
		return fmt.Errorf("values of type %v are not known", v.Kind())
	}
	r.elements = append(r.elements, out)
	return nil
}

// arrayOf returns an array: an AnyValue with its list as field 5.
func arrayOf(elements []trace.Value) trace.Value {
	var list, one []byte
	for i := range elements {
		one = trace.AppendValue(one[:0], &elements[i])
		list = protowire.AppendTag(list, 1, protowire.BytesType)
		list = protowire.AppendBytes(list, one)
	}
	raw := protowire.AppendTag(nil, 5, protowire.BytesType)
	return trace.Value{Type: trace.Array, Bytes: protowire.AppendBytes(raw, list)}
}

// readRaw reads an AnyValue in the JSON of OTLP. Any other text is kept as it is.
func readRaw(text []byte) trace.Value {
	var m common.AnyValue
	if protojson.Unmarshal(text, &m) == nil {
		if b, err := proto.Marshal(&m); err == nil {
			if v, err := trace.ReadValue(b); err == nil {
				return v
			}
		}
	}
	return trace.Value{Type: trace.String, Bytes: text}
}

// parent is what a resource or a scope says of the spans within.
type parent struct {
	name, version, schema []byte
	attributes            []trace.Attribute
	dropped               uint32
}

func (r *reader) readParent(n *node) (p parent, err error) {
	err = r.eachChild(n, func(c *node) error {
		switch c.role {
		case attributes:
			p.attributes, err = r.readAttributes(c, p.attributes)
			return err
		case attribute:
			a, ok, err := r.readDedicated(c)
			if ok {
				p.attributes = append(p.attributes, a)
			}
			return err
		case spanName, version, schemaURL, droppedAttributes:
			return r.takeEach(c, func(v parquet.Value) error {
				switch c.role {
				case spanName:
					p.name = v.ByteArray()
				case version:
					p.version = v.ByteArray()
				case schemaURL:
					p.schema = v.ByteArray()
				default:
					p.dropped = uint32(toInt(v))
				}
				return nil
			})
		}
		return r.drop(c, true)
	})
	sortAttributes(p.attributes)
	return p, err
}

// appendParent returns the content of a ResourceSpans or ScopeSpans without what is within: a
// Resource or InstrumentationScope as field 1, and the URL of its schema as field 3. The fields of
// attributes are numbered otherwise in the two.
func appendParent(name, version []byte, attributes, dropped protowire.Number, p parent) []byte {
	var m []byte
	text := func(field protowire.Number, s []byte) {
		if len(s) > 0 {
			m = protowire.AppendTag(m, field, protowire.BytesType)
			m = protowire.AppendBytes(m, s)
		}
	}
	text(1, name)
	text(2, version)
	for i := range p.attributes {
		m = protowire.AppendTag(m, attributes, protowire.BytesType)
		m = protowire.AppendBytes(m, trace.AppendAttribute(nil, &p.attributes[i]))
	}
	if p.dropped > 0 {
		m = protowire.AppendTag(m, dropped, protowire.VarintType)
		m = protowire.AppendVarint(m, uint64(p.dropped))
	}
	out := protowire.AppendTag(nil, 1, protowire.BytesType)
	out = protowire.AppendBytes(out, m)
	if len(p.schema) > 0 {
		out = protowire.AppendTag(out, 3, protowire.BytesType)
		out = protowire.AppendBytes(out, p.schema)
	}
	return out
}

func toInt(v parquet.Value) int64 {
	switch v.Kind() {
	case parquet.Int32:
		return int64(v.Int32())
	case parquet.Int64:
		return v.Int64()
	case parquet.Boolean:
		if v.Boolean() {
			return 1
		}
	}
	return 0
}
