package jaeger

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/troupe-tracing/troupe/runtime/gateway/ingress"
	"github.com/troupe-tracing/troupe/runtime/gateway/thriftread"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
)

// UDPServer takes packets of thrift. UDP gives no answers, so everything that is lost is counted
// and logged. Packets name no tenant: with multitenancy they are refused.
type UDPServer struct {
	door   *ingress.Door
	cfg    UDP
	name   string
	format ingress.Format
	queue  chan *ingress.Packet

	mu      sync.Mutex
	socket  *net.UDPConn // nil until Serve, and after Stop
	stopped bool
	context context.Context // ends what is still being made durable when Stop has waited long enough
	cancel  context.CancelFunc
	done    chan struct{} // closed when the last packet has been taken
}

// CompactServer makes the server of thrift's compact protocol.
func CompactServer(d *ingress.Door, cfg UDP) *UDPServer {
	return newUDPServer(d, cfg, nameCompact, thriftread.Compact)
}

// BinaryServer makes the server of thrift's binary protocol.
func BinaryServer(d *ingress.Door, cfg UDP) *UDPServer {
	return newUDPServer(d, cfg, nameBinary, thriftread.Binary)
}

func newUDPServer(d *ingress.Door, cfg UDP, name string, p thriftread.Protocol) *UDPServer {
	s := &UDPServer{door: d, cfg: cfg, name: name, format: packet{p}, queue: make(chan *ingress.Packet, cfg.QueueSize),
		done: make(chan struct{})}
	s.context, s.cancel = context.WithCancel(context.Background())
	return s
}

// Serve takes packets from socket, which it owns, until Stop or an error of the socket. It returns
// nil after Stop.
func (s *UDPServer) Serve(socket *net.UDPConn) error {
	if n := int(s.cfg.SocketBuffer); n > 0 { // before Stop can close the socket
		if err := socket.SetReadBuffer(n); err != nil {
			return errors.Join(fmt.Errorf("socket_buffer_size: %w", err), socket.Close())
		}
	}
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		return socket.Close()
	}
	s.socket = socket
	s.mu.Unlock()
	defer close(s.done)
	var workers sync.WaitGroup
	for range s.cfg.Workers {
		workers.Go(func() {
			for p := range s.queue {
				s.door.TakePacket(s.context, s.name, p, s.format)
			}
		})
	}
	err := s.receivePackets(socket)
	close(s.queue)
	workers.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return nil
	}
	return errors.Join(err, socket.Close())
}

// receivePackets puts packets into the queue until the socket fails or is closed.
func (s *UDPServer) receivePackets(socket *net.UDPConn) error {
	lost := countKernelLosses(socket)
	buffer := make([]byte, s.cfg.MaxPacket+1)
	control := make([]byte, controlSize)
	for {
		n, controls, err := readPacket(socket, buffer, control)
		if err != nil {
			if errors.Is(err, net.ErrClosed) {
				return err
			}
			var temporary interface{ Temporary() bool }
			if errors.As(err, &temporary) && temporary.Temporary() { // for want of memory, for instance
				time.Sleep(50 * time.Millisecond)
				continue
			}
			return err
		}
		if more := lost(control[:controls]); more > 0 {
			s.door.CountPackets(s.name, refusals.OverCapacity, more,
				"UDP packets were dropped by the kernel, because they came faster than they were received: "+
					"raise socket_buffer_size")
		}
		if n > int(s.cfg.MaxPacket) {
			s.door.CountPackets(s.name, refusals.MessageTooLarge, 1,
				fmt.Sprintf("a UDP packet was dropped: it is larger than max_packet_size, %d bytes",
					int(s.cfg.MaxPacket)))
			continue
		}
		p := s.door.HoldPacket(s.name, buffer[:n])
		if p == nil {
			continue
		}
		select {
		case s.queue <- p:
		default:
			p.Release()
			s.door.CountPackets(s.name, refusals.OverCapacity, 1,
				fmt.Sprintf("a UDP packet was dropped: %d wait to be read already, which is queue_size",
					s.cfg.QueueSize))
		}
	}
}

// readPacket reads one packet and the control data that came with it, and returns their lengths.
func readPacket(socket *net.UDPConn, packet, control []byte) (n, controls int, err error) {
	n, controls, _, _, err = socket.ReadMsgUDPAddrPort(packet, control)
	return n, controls, err
}

// Stop closes the socket and waits until the packets that were received are durable, or ctx ends.
func (s *UDPServer) Stop(ctx context.Context) {
	s.mu.Lock()
	socket := s.socket
	s.stopped = true
	s.mu.Unlock()
	if socket == nil {
		return
	}
	_ = socket.Close() // the receiver returns
	defer s.cancel()
	select {
	case <-s.done:
	case <-ctx.Done():
	}
}
