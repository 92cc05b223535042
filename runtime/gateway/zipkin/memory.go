package zipkin

import (
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

const (
	typeProto  = "application/x-protobuf"
	typeThrift = "application/x-thrift"
)

// What decoding allocates, all in all. A span that is refused is 3 bytes of JSON and takes 680, an
// empty annotation is 2 bytes of protobuf and takes up to 610. A test holds the worst bodies
// against these.
const (
	anyBody   = 64 << 10 // whatever its size
	eachByte  = 8        // texts, which are copied several times
	eachBrace = 384      // of JSON: an object
	eachComma = 480      // of JSON: a member or an element
	eachField = 640      // of protobuf: of the list or of a span
)

func jsonMemory(body []byte) int64 {
	n := int64(anyBody) + eachByte*int64(len(body))
	for _, c := range body {
		switch c {
		case '{':
			n += eachBrace
		case ',':
			n += eachComma
		}
	}
	return n
}

// eachOldSpan is what a span of version 1 takes besides, because each is decoded by itself.
const eachOldSpan = 2500

// countElements counts the objects that are elements of the list that body is.
func countElements(body []byte) (n int64) {
	for depth := range trace.OpeningDepths(body) {
		if depth == 2 {
			n++
		}
	}
	return n
}

// protoMemory counts fields as far as they can be read: where they end, so does the decoder.
func protoMemory(body []byte) int64 {
	n := int64(anyBody) + eachByte*int64(len(body))
	forEachField(body, func(span []byte) {
		n += eachField
		forEachField(span, func([]byte) { n += eachField })
	})
	return n
}

// forEachField calls each for every field of a message, with the bytes of those that have a length.
func forEachField(message []byte, each func([]byte)) {
	for len(message) > 0 {
		number, kind, tag := protowire.ConsumeTag(message)
		if tag < 0 {
			return
		}
		n := protowire.ConsumeFieldValue(number, kind, message[tag:])
		if n < 0 {
			return
		}
		var value []byte
		if kind == protowire.BytesType {
			value, _ = protowire.ConsumeBytes(message[tag:])
		}
		each(value)
		message = message[tag+n:]
	}
}
