package jaeger

import "google.golang.org/protobuf/encoding/protowire"

// What decoding protobuf and all that follows may allocate, in bytes. A test holds the worst bodies
// against these.
const (
	eachByte  = 6  // of texts and unknown fields, which are copied several times, and grow as they are appended to
	eachField = 80 // a time or a text in a list
)

// listCost is what an element of a list takes: long lists are copied more often as they grow.
func listCost(elements int) int64 {
	switch {
	case elements <= 16:
		return 320
	case elements <= 1000:
		return 520
	}
	return 800
}

// shape is a type of message.
type shape struct {
	cost     int64                      // beside that of an element of a list
	plain    bool                       // its own fields allocate nothing but their bytes
	messages map[protowire.Number]shape // the fields that are messages
}

var (
	tag       = shape{plain: true}
	process   = shape{cost: 600, messages: map[protowire.Number]shape{2: tag}}
	event     = shape{messages: map[protowire.Number]shape{2: tag}}
	reference = shape{plain: true}
	span      = shape{cost: 300, messages: map[protowire.Number]shape{4: reference, 8: tag, 9: event, 10: process}}
	spans     = shape{messages: map[protowire.Number]shape{1: span, 2: process}}
	request   = shape{messages: map[protowire.Number]shape{1: spans}}
)

// protoMemory counts what decoding a request allocates. It is false where the bytes are not
// protobuf.
func protoMemory(body []byte) (int64, bool) {
	n := eachByte * int64(len(body))
	ok := countFields(body, request, &n)
	return n, ok
}

// countFields adds what the fields of one message take to n. Messages are at most six deep.
func countFields(message []byte, of shape, n *int64) bool {
	elements := 0
	for len(message) > 0 {
		number, kind, tag := protowire.ConsumeTag(message)
		if tag < 0 {
			return false
		}
		size := protowire.ConsumeFieldValue(number, kind, message[tag:])
		if size < 0 {
			return false
		}
		inner, ok := of.messages[number]
		switch {
		case ok && kind == protowire.BytesType:
			elements++
			*n += listCost(elements) + inner.cost
			value, _ := protowire.ConsumeBytes(message[tag:])
			if !countFields(value, inner, n) {
				return false
			}
		case !of.plain:
			*n += eachField
		}
		message = message[tag+size:]
	}
	return true
}
