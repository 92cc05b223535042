package ingress

import (
	"context"

	"github.com/troupe-tracing/troupe/runtime/gateway/tenant"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
)

// Packet is a datagram whose bytes are reserved.
type Packet struct {
	hold *Hold
	body []byte
}

// HoldPacket reserves memory for a datagram and copies it, without waiting. Where there is none it
// counts the packet and returns nil.
func (d *Door) HoldPacket(protocol string, packet []byte) *Packet {
	n := int64(len(packet))
	if !d.memory.tryAcquireBytes(n) {
		d.CountPackets(protocol, refusals.OverCapacity, 1,
			"a UDP packet was dropped: requests hold max_buffered_bytes of the OTLP receiver already")
		return nil
	}
	return &Packet{&Hold{d.memory, n}, append([]byte(nil), packet...)}
}

// Release gives the memory of a packet back without reading it.
func (p *Packet) Release() { p.hold.ShrinkTo(0) }

// TakePacket reads the packet and has its spans made durable. There is nobody to tell of a refusal:
// it is counted and logged.
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
