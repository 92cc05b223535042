package spans

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/troupe-tracing/troupe/runtime/engine/trace"
)

// Typical returns records of about 500 spans like those of services: 10 resource attributes, 6 to 8
// of a span, of three kinds, in traces of 5 to 60 spans. TROUPE_CORPUS names a file of
// tools/loadgen to take instead.
func Typical(t testing.TB, spans int) (records [][]byte, count int) {
	if name := os.Getenv("TROUPE_CORPUS"); name != "" {
		return readCorpus(t, name, spans)
	}
	r := rand.New(rand.NewPCG(1, 1))
	str := func(k, v string) trace.Attribute {
		return trace.Attribute{Key: []byte(k), Value: trace.Value{Type: trace.String, Bytes: []byte(v)}}
	}
	num := func(k string, v int) trace.Attribute {
		return trace.Attribute{Key: []byte(k), Value: trace.Value{Type: trace.Int, Num: uint64(v)}}
	}
	for count < spans {
		var e trace.Encoder
		for in := 0; in < 500; {
			var id trace.ID
			binary.BigEndian.PutUint64(id[:], r.Uint64())
			binary.BigEndian.PutUint64(id[8:], r.Uint64())
			user := fmt.Sprintf("user-%d", r.IntN(200000))
			for left := 5 + r.IntN(40); left > 0; {
				svc, pod := r.IntN(20), r.IntN(8)
				must(e.Resource(resourceWith(str("service.name", fmt.Sprintf("service-%d", svc)),
					str("service.version", fmt.Sprintf("1.%d.0", svc%5)),
					str("deployment.environment", "prod"), str("k8s.namespace.name", fmt.Sprintf("ns-%d", svc)),
					str("k8s.cluster.name", "eu-west-1a"),
					str("k8s.pod.name", fmt.Sprintf("service-%d-7d9f-%02d", svc, pod)),
					str("host.name", fmt.Sprintf("node-%02d", svc*8+pod)),
					str("cloud.region", "eu-west-1"), str("telemetry.sdk.language", "go"),
					num("process.pid", 100+pod))))
				must(e.Scope([]byte("\x0a\x12\x0a\x08otelhttp\x12\x060.58.0")))
				for range min(left, 1+r.IntN(6)) {
					s := trace.Span{TraceID: id, HasParent: true, StartUnixNano: 1700000000000000000 + r.Uint64N(1e10),
						Kind: 2}
					binary.BigEndian.PutUint64(s.SpanID[:], r.Uint64())
					binary.BigEndian.PutUint64(s.ParentID[:], r.Uint64())
					s.EndUnixNano = s.StartUnixNano + r.Uint64N(1e8)
					switch r.IntN(4) {
					case 0, 1:
						route := fmt.Sprintf("/api/service-%d/v%d/{id}", svc, r.IntN(3))
						s.Name = []byte("GET " + route)
						s.Attributes = []trace.Attribute{str("http.request.method", "GET"), str("http.route", route),
							str("url.path", fmt.Sprintf("/api/service-%d/v1/%d", svc, r.IntN(100000))),
							num("http.response.status_code", 200),
							str("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36"),
							str("client.address", fmt.Sprintf("10.%d.%d.%d", r.IntN(4), r.IntN(256), r.IntN(256))),
							str("enduser.id", user), num("http.response.body.size", r.IntN(20000))}
					case 2:
						s.Name = []byte(fmt.Sprintf("SELECT table-%d", r.IntN(20)))
						s.Attributes = []trace.Attribute{str("db.system", "postgresql"), str("db.namespace", "app"),
							str("db.query.text", fmt.Sprintf("SELECT * FROM table-%d WHERE id = $1 AND shard = %d",
								r.IntN(20), r.IntN(64))),
							str("server.address", "postgresql.internal"), num("server.port", 5432),
							num("db.response.returned_rows", r.IntN(100))}
					default:
						s.Name = []byte(fmt.Sprintf("service-%d/Call", r.IntN(20)))
						s.Attributes = []trace.Attribute{str("rpc.system", "grpc"),
							str("rpc.service", fmt.Sprintf("service-%d", r.IntN(20))), str("rpc.method", "Call"),
							num("rpc.grpc.status_code", 0),
							str("messaging.message.id", fmt.Sprintf("%016x", r.Uint64())),
							{Key: []byte("retry"), Value: trace.Value{Type: trace.Bool}},
							{Key: []byte("queue.wait"), Value: trace.Value{Type: trace.Float, Num: r.Uint64() >> 2}}}
					}
					must(e.Span(&s))
					left--
					in++
					count++
				}
			}
		}
		records = append(records, e.Bytes())
	}
	return records, count
}

// Wide returns records whose spans have 8 attributes each of keys, with values of few kinds.
func Wide(keys, spans int) (records [][]byte, count int) {
	r := rand.New(rand.NewPCG(2, 1))
	for count < spans {
		var e trace.Encoder
		must(e.Resource(resourceWith(trace.Attribute{Key: []byte("service.name"),
			Value: trace.Value{Type: trace.String, Bytes: []byte("a")}})))
		must(e.Scope([]byte{1<<3 | 2, 0}))
		for range 500 {
			s := trace.Span{Name: []byte("op"), StartUnixNano: r.Uint64() >> 4}
			binary.BigEndian.PutUint64(s.TraceID[:], uint64(count/20)+1)
			binary.BigEndian.PutUint64(s.SpanID[:], uint64(count)+1)
			first := r.IntN(keys/8) * 8 // eight keys that belong together, as the attributes of one library do
			for i := range 8 {
				s.Attributes = append(s.Attributes, trace.Attribute{Key: []byte(fmt.Sprintf("library.attribute.%d",
					first+i)),
					Value: trace.Value{Type: trace.String, Bytes: []byte(fmt.Sprintf("value-%d", r.IntN(20)))}})
			}
			must(e.Span(&s))
			count++
		}
		records = append(records, e.Bytes())
	}
	return records, count
}

func resourceWith(list ...trace.Attribute) []byte {
	var inner []byte
	for i := range list {
		a := trace.AppendAttribute(nil, &list[i])
		inner = append(binary.AppendUvarint(append(inner, 1<<3|2), uint64(len(a))), a...)
	}
	return append(binary.AppendUvarint([]byte{1<<3 | 2}, uint64(len(inner))), inner...)
}

type counter int

func (*counter) Resource([]byte) error    { return nil }
func (*counter) Scope([]byte) error       { return nil }
func (c *counter) Span(*trace.Span) error { *c++; return nil }

// readCorpus reads the requests of a loadgen file.
func readCorpus(t testing.TB, name string, spans int) (records [][]byte, count int) {
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	var r trace.Reader
	for n := 0; len(data) > 4 && count < spans; n++ {
		size := binary.LittleEndian.Uint32(data)
		body := data[4 : 4+size]
		data = data[4+size:]
		if n == 0 {
			continue // the header
		}
		var c counter
		must(r.Walk(body, &c))
		count += int(c)
		records = append(records, body)
	}
	return records, count
}
