package config

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"
)

// TLS says which certificate a server shows and which clients it accepts. Names are those of Tempo
// and the collector.
type TLS struct {
	// The PEM file of the server's certificate. If it is empty, connections are not encrypted.
	CertFile string `koanf:"cert_file"`
	// The PEM file of the certificate's key.
	KeyFile string `koanf:"key_file"`
	// The PEM file of the authorities that sign clients' certificates. If it is set, a client must
	// show a certificate.
	ClientCA string `koanf:"client_ca_file"`
	// Which certificate is asked of clients, by the names of Go's crypto/tls. If it is empty,
	// client_ca_file decides.
	ClientAuth string `koanf:"client_auth_type"`
}

var clientAuth = map[string]tls.ClientAuthType{"NoClientCert": tls.NoClientCert,
	"RequestClientCert":    tls.RequestClientCert,
	"RequireAnyClientCert": tls.RequireAnyClientCert, "VerifyClientCertIfGiven": tls.VerifyClientCertIfGiven,
	"RequireAndVerifyClientCert": tls.RequireAndVerifyClientCert}

// On reports whether connections are encrypted.
func (t TLS) On() bool { return t.CertFile != "" || t.KeyFile != "" }

// Validate names every value that cannot work.
func (t TLS) Validate() error {
	var errs []error
	if (t.CertFile == "") != (t.KeyFile == "") {
		errs = append(errs, errors.New("cert_file, key_file: both or none"))
	}
	if !t.On() && t.ClientCA != "" {
		errs = append(errs, errors.New("client_ca_file: clients cannot be checked without cert_file and key_file"))
	}
	if _, ok := clientAuth[t.ClientAuth]; !ok && t.ClientAuth != "" {
		errs = append(errs, fmt.Errorf("client_auth_type: %q is not known", t.ClientAuth))
	}
	return errors.Join(errs...)
}

// reloadEvery is how long a certificate is used before its files are looked at again.
const reloadEvery = time.Minute

// Server makes the configuration of a server, and nil for plain connections. A certificate that is
// renewed in its files is used within a minute. If the new files cannot be read, the old
// certificate stays in use.
func (t TLS) Server() (*tls.Config, error) {
	if !t.On() {
		return nil, nil
	}
	c := &certificate{cfg: t}
	if err := c.loadFiles(); err != nil {
		return nil, err
	}
	out := &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.currentPair,
		ClientAuth: clientAuth[t.ClientAuth]}
	if t.ClientCA != "" {
		var err error
		if out.ClientCAs, err = readAuthorities(t.ClientCA); err != nil {
			return nil, fmt.Errorf("client_ca_file: %w", err)
		}
		if t.ClientAuth == "" {
			out.ClientAuth = tls.RequireAndVerifyClientCert
		}
	}
	return out, nil
}

// readAuthorities reads a PEM file of certificate authorities.
func readAuthorities(file string) (*x509.CertPool, error) {
	pem, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%s holds no certificate", file)
	}
	return pool, nil
}

// certificate is a server's certificate, which is read again when its files may have changed.
type certificate struct {
	cfg TLS
	mu  sync.Mutex
	at  time.Time
	now *tls.Certificate
}

func (c *certificate) loadFiles() error {
	pair, err := tls.LoadX509KeyPair(c.cfg.CertFile, c.cfg.KeyFile)
	if err != nil {
		return fmt.Errorf("cert_file, key_file: %w", err)
	}
	c.now, c.at = &pair, time.Now()
	return nil
}

func (c *certificate) currentPair(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.at) > reloadEvery && c.loadFiles() != nil {
		c.at = time.Now() // the old one goes on; clients see when it has run out
	}
	return c.now, nil
}
