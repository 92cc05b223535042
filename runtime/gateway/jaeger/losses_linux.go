package jaeger

import (
	"encoding/binary"
	"net"

	"golang.org/x/sys/unix"
)

// controlSize is room for what the kernel says beside a packet: a header and a number.
const controlSize = 64

// countKernelLosses asks the kernel to report with each packet how many packets of a socket it has
// dropped. The result reads that from the control data of a packet, and returns how many were
// dropped since the packet before.
func countKernelLosses(socket *net.UDPConn) func(control []byte) int64 {
	if raw, err := socket.SyscallConn(); err == nil {
		// else none are reported
		_ = raw.Control(func(fd uintptr) { _ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RXQ_OVFL, 1) })
	}
	var seen uint32
	return func(control []byte) int64 {
		for len(control) >= unix.CmsgLen(0) {
			header, data, rest, err := unix.ParseOneSocketControlMessage(control)
			if err != nil {
				return 0
			}
			if header.Level == unix.SOL_SOCKET && header.Type == unix.SO_RXQ_OVFL && len(data) >= 4 {
				total := binary.NativeEndian.Uint32(data)
				more := total - seen // the kernel's count wraps
				seen = total
				return int64(more)
			}
			control = rest
		}
		return 0
	}
}
