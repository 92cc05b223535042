package config

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// issue writes a certificate that signs itself.
func issue(t *testing.T, dir, name string) TLS {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	require.NoError(t, err)
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	out := TLS{CertFile: filepath.Join(dir, "cert.pem"), KeyFile: filepath.Join(dir, "key.pem")}
	require.NoError(t, os.WriteFile(out.CertFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	require.NoError(t, os.WriteFile(out.KeyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600))
	return out
}

// A certificate that is renewed is taken up within a minute; when its files are broken the old one
// goes on.
func TestCertificateIsReloaded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		cfg := issue(t, dir, "one")
		require.NoError(t, cfg.Validate())
		server, err := cfg.Server()
		require.NoError(t, err)
		shown := func() []byte {
			c, err := server.GetCertificate(nil)
			require.NoError(t, err)
			return c.Certificate[0]
		}
		first := shown()
		issue(t, dir, "two")
		require.True(t, bytes.Equal(first, shown()))
		time.Sleep(reloadEvery + time.Second) // of the bubble's clock
		second := shown()
		require.False(t, bytes.Equal(first, second))
		require.NoError(t, os.WriteFile(cfg.CertFile, nil, 0o600))
		time.Sleep(reloadEvery + time.Second)
		require.True(t, bytes.Equal(second, shown()))
	})
}

// With authorities of clients a client must show a certificate, unless it is said otherwise; what
// cannot work is named.
func TestTLSOfServers(t *testing.T) {
	cfg := issue(t, t.TempDir(), "ca")
	cfg.ClientCA = cfg.CertFile
	server, err := cfg.Server()
	require.NoError(t, err)
	require.Equal(t, tls.RequireAndVerifyClientCert, server.ClientAuth)
	cfg.ClientAuth = "VerifyClientCertIfGiven"
	server, err = cfg.Server()
	require.NoError(t, err)
	require.Equal(t, tls.VerifyClientCertIfGiven, server.ClientAuth)
	server, err = TLS{}.Server()
	require.NoError(t, err)
	require.Nil(t, server)
	require.ErrorContains(t, TLS{CertFile: "x", ClientAuth: "Maybe"}.Validate(), "client_auth_type")
	require.ErrorContains(t, TLS{CertFile: "x"}.Validate(), "both or none")
	require.ErrorContains(t, TLS{ClientCA: "x"}.Validate(), "client_ca_file")
	_, err = TLS{CertFile: "/nowhere", KeyFile: "/nowhere"}.Server()
	require.ErrorContains(t, err, "/nowhere")
}
