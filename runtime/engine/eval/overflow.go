package eval

import (
	"github.com/troupe-tracing/troupe/runtime/engine/column"
	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// eachOverflowAttribute calls f for the attributes of an overflow value, in the order sent. Strings alias
// text.
func eachOverflowAttribute(text string, f func(name []byte, t column.Type, v value)) error {
	rest := viewBytes(text)
	for {
		var a trace.Attribute
		var ok bool
		var err error
		if rest, ok, err = column.NextKeyValue(rest, &a); err != nil || !ok {
			return err
		}
		f(a.Key, column.TypeOf(a.Value.Type), attributeValue(a.Value))
	}
}
