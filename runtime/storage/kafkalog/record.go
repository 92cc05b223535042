package kafkalog

import (
	"encoding/binary"
	"errors"
	"time"
)

// appendRecordHeader encodes everything of a record except its strings and value.
func appendRecordHeader(b []byte, r *Record) []byte {
	b = binary.AppendUvarint(b, uint64(len(r.Tenant)))
	b = binary.AppendUvarint(b, uint64(len(r.Format)))
	b = binary.AppendUvarint(b, uint64(len(r.Value)))
	b = binary.AppendUvarint(b, uint64(uint32(r.Parts)))
	return binary.AppendVarint(b, r.Time.UnixNano())
}

var errRecord = errors.New("a record is malformed")

// decodeRecords appends the records of a frame's body to dst, from the offset from on. Their values
// alias body.
func decodeRecords(dst []Record, f frame, body []byte, from int64) ([]Record, error) {
	for i := uint32(0); i < f.count; i++ {
		var v [4]uint64
		for j := range v {
			n := 0
			if v[j], n = binary.Uvarint(body); n <= 0 {
				return dst, errRecord
			}
			body = body[n:]
		}
		nano, n := binary.Varint(body)
		if n <= 0 {
			return dst, errRecord
		}
		body = body[n:]
		for _, l := range v[:3] {
			if l > uint64(len(body)) {
				return dst, errRecord
			}
		}
		if v[0]+v[1]+v[2] > uint64(len(body)) {
			return dst, errRecord
		}
		a, b, c := int(v[0]), int(v[0]+v[1]), int(v[0]+v[1]+v[2])
		if o := f.first + int64(i); o >= from {
			dst = append(dst, Record{
				Offset: o,
				Tenant: string(body[:a]),
				Format: string(body[a:b]),
				Parts:  int32(uint32(v[3])),
				Time:   time.Unix(0, nano),
				Value:  body[b:c:c],
			})
		}
		body = body[c:]
	}
	if len(body) != 0 {
		return dst, errRecord
	}
	return dst, nil
}
