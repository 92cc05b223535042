package ingress

import (
	"context"

	"github.com/troupe-tracing/troupe/runtime/gateway/tenant"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
)

// Packet is a datagram whose memory is reserved.
type Packet struct {
	hold *Hold
	body []byte
}

// HoldPacket reserves memory for a datagram and copies it, without waiting. If there is no memory,
// it counts the datagram as lost and returns nil.
func (d *Door) HoldPacket(protocol string, packet []byte) *Packet {
	n := int64(len(packet))
	if !d.memory.tryAcquireBytes(n) {
		d.CountPackets(protocol, refusals.OverCapacity, 1,
			"a UDP packet was dropped: requests hold max_buffered_bytes of the OTLP receiver already")
		return nil
	}
	return &Packet{&Hold{d.memory, n}, append([]byte(nil), packet...)}
}

// Release gives the memory of a packet back. The packet is not read.
func (p *Packet) Release() { p.hold.ShrinkTo(0) }

// TakePacket reads a packet and has its spans made durable. Nobody can be told of a refusal, so it
// is counted and logged.
func (d *Door) TakePacket(ctx context.Context, protocol string, p *Packet, format Format) {
	defer p.Release()
	code := "OK"
	id, err := d.FindTenant(nil)
	if err != nil {
		d.CountRefused("", err)
	} else {
		err = d.takeForeign(ctx, p.hold, id, protocol, "", p.body, format)
	}
	if err != nil {
		code = d.GRPCStatus(err).Code().String()
	}
	d.CountAnswer(protocol, code)
}

// CountPackets counts datagrams that were lost before they were read.
func (d *Door) CountPackets(protocol string, reason refusals.Reason, packets int64, message string) {
	id := tenant.Single
	if d.deps.Multitenancy {
		id = ""
	}
	d.deps.Metrics.requests.WithLabelValues(protocol, "lost").Add(float64(packets))
	d.deps.Refusals.CountRequest(id, reason, 0, message)
}
