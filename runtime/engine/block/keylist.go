package block

import (
	"strings"
	"unsafe"

	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// keyList numbers attributes in the order they come.
type keyList struct {
	keys  []column.Key
	index map[column.Key]uint32
}

// numberOf returns the number of k, whose name need not stay valid.
func (l *keyList) numberOf(k column.Key) uint32 {
	n, ok := l.index[k]
	if !ok {
		if l.index == nil {
			l.index = map[column.Key]uint32{}
		}
		k.Name = strings.Clone(k.Name)
		n = uint32(len(l.keys))
		l.keys = append(l.keys, k)
		l.index[k] = n
	}
	return n
}

// keyOf returns the key of an attribute. Its name is only valid as long as the attribute is.
func keyOf(scope column.Scope, a *trace.Attribute) column.Key {
	name := unsafe.String(unsafe.SliceData(a.Key), len(a.Key))
	return column.Key{Scope: scope, Name: name, Type: column.TypeOf(a.Value.Type)}
}
