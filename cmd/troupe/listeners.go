package main

import (
	"fmt"
	"net"
	"strconv"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/config"
)

// listenAddress is an address on which the node listens, by its configuration.
type listenAddress struct {
	key     string // that sets it
	network string // tcp or udp
	host    string // empty: all addresses of the machine
	port    int
}

// listenAddresses lists the addresses of the configuration, and the errors of those that are not
// valid. Every key below the receivers that ends in endpoint is an address, so a new receiver is
// checked without a change here.
func (c Config) listenAddresses() (out []listenAddress, errs []error) {
	s := c.Server
	out = append(out,
		listenAddress{"server.http_listen_port", "tcp", s.HTTPAddress, s.HTTPPort},
		listenAddress{"server.grpc_listen_port", "tcp", s.GRPCAddress, s.GRPCPort})
	if s.adminAddress() != "" && !s.adminElsewhere {
		out = append(out, listenAddress{"server.admin_listen_port", "tcp", s.AdminAddress, s.AdminPort})
	}
	for _, k := range config.Keys(c) {
		address, ok := k.Value.Interface().(string)
		isEndpoint := strings.HasPrefix(k.Path, "distributor.receivers.") && strings.HasSuffix(k.Path, ".endpoint")
		if !ok || address == "" || !isEndpoint {
			continue
		}
		l := listenAddress{key: k.Path, network: "tcp"}
		if strings.Contains(k.Path, ".thrift_compact.") || strings.Contains(k.Path, ".thrift_binary.") {
			l.network = "udp"
		}
		host, port, err := net.SplitHostPort(address)
		if err == nil {
			l.host = host
			l.port, err = strconv.Atoi(port)
		}
		if err != nil || l.port < 0 || l.port > 65535 {
			errs = append(errs, fmt.Errorf("%s: want host:port such as 0.0.0.0:4317, found %q", k.Path, address))
			continue
		}
		out = append(out, l)
	}
	return out, errs
}

// findClashes names each pair of addresses of which the second would find its port taken.
func findClashes(all []listenAddress) (errs []error) {
	for i, a := range all {
		for _, b := range all[:i] {
			if a.port != 0 && a.port == b.port && a.network == b.network && addressesOverlap(a.host, b.host) {
				errs = append(errs, fmt.Errorf("%s, %s: both listen on %s port %d; give one of them another",
					b.key, a.key, a.network, a.port))
			}
		}
	}
	return errs
}

// addressesOverlap reports whether a port of one address cannot be bound on the other too.
func addressesOverlap(a, b string) bool {
	every := func(host string) bool {
		ip := net.ParseIP(host)
		return host == "" || ip != nil && ip.IsUnspecified()
	}
	name := func(host string) string {
		if host == "localhost" {
			return "127.0.0.1"
		}
		return host
	}
	return every(a) || every(b) || name(a) == name(b)
}
