package config

import (
	"crypto/tls"
	"errors"
	"fmt"
)

// ClientTLS says how the node reaches a server that uses TLS. Names are those of Tempo.
type ClientTLS struct {
	// The PEM file of the certificate authorities that are trusted. If it is empty, the system's
	// are.
	CA string `koanf:"tls_ca_path"`
	// The PEM file of the certificate that the node shows. If it is empty, it shows none.
	Cert string `koanf:"tls_cert_path"`
	// The PEM file of that certificate's key.
	Key string `koanf:"tls_key_path"`
	// The name that the server's certificate must carry. If it is empty, it is the host of the
	// address.
	ServerName string `koanf:"tls_server_name"`
	// Whether any certificate of the server is accepted.
	SkipVerify bool `koanf:"tls_insecure_skip_verify"`
}

// Validate names every value that cannot work.
func (t ClientTLS) Validate() error {
	if (t.Cert == "") != (t.Key == "") {
		return errors.New("tls_cert_path, tls_key_path: both or none")
	}
	return nil
}

// Client makes the configuration of a client, of TLS 1.2 or newer.
func (t ClientTLS) Client() (*tls.Config, error) {
	out := &tls.Config{ServerName: t.ServerName, InsecureSkipVerify: t.SkipVerify, MinVersion: tls.VersionTLS12}
	if t.CA != "" {
		var err error
		if out.RootCAs, err = readAuthorities(t.CA); err != nil {
			return nil, fmt.Errorf("tls_ca_path: %w", err)
		}
	}
	if t.Cert != "" {
		cert, err := tls.LoadX509KeyPair(t.Cert, t.Key)
		if err != nil {
			return nil, fmt.Errorf("tls_cert_path, tls_key_path: %w", err)
		}
		out.Certificates = []tls.Certificate{cert}
	}
	return out, nil
}
