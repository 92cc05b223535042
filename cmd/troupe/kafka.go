package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
)

// Kafka is the log of several nodes. With an address it takes the place of the embedded log.
type Kafka struct {
	Address    string        `koanf:"address"`                              // host:port of brokers, with commas; empty: the embedded log
	Topic      string        `koanf:"topic"`                                // of the records; distributors are its only writers
	ClientID   string        `koanf:"client_id"`                            // as brokers see the node
	Create     bool          `koanf:"auto_create_topic_enabled"`            // create the topic where it is missing
	Partitions int           `koanf:"auto_create_topic_default_partitions"` // of a topic that is created
	Mechanism  string        `koanf:"sasl_mechanism"`                       // PLAIN
	User       string        `koanf:"sasl_username"`                        // empty: no authentication
	Password   config.Secret `koanf:"sasl_password"`                        // goes with the name
	TLS        bool          `koanf:"tls_enabled"`                          // connect by TLS 1.2 or newer
	CA         string        `koanf:"tls_ca_path"`                          // file of the authorities to trust; empty: the system's
	Cert       string        `koanf:"tls_cert_path"`                        // file of the certificate to show; empty: none
	Key        string        `koanf:"tls_key_path"`                         // file of its key
	ServerName string        `koanf:"tls_server_name"`                      // that the brokers' certificate must bear; empty: the host of the address
	SkipVerify bool          `koanf:"tls_insecure_skip_verify"`             // take any certificate
}

func defaultKafka() Kafka {
	return Kafka{Topic: "troupe-ingest", ClientID: "troupe", Create: true, Partitions: 32, Mechanism: "PLAIN"}
}

// Validate names every value that cannot work.
func (k Kafka) Validate() error {
	if k.Address == "" {
		return nil
	}
	var errs []error
	if k.Topic == "" || k.Partitions < 1 {
		errs = append(errs, errors.New("topic, auto_create_topic_default_partitions: must be given with an address"))
	}
	if (k.User == "") != (k.Password == "") {
		errs = append(errs, errors.New("sasl_username, sasl_password: both or none"))
	}
	if k.User != "" && k.Mechanism != "PLAIN" {
		errs = append(errs, fmt.Errorf("sasl_mechanism: only PLAIN is built, found %s", k.Mechanism))
	}
	if (k.Cert == "") != (k.Key == "") {
		errs = append(errs, errors.New("tls_cert_path, tls_key_path: both or none"))
	}
	return errors.Join(errs...)
}

// maxKafkaRecord is the largest record that brokers take by default, with room for what a message adds.
const maxKafkaRecord = 990_000

func openKafka(k Kafka) (kafkalog.Log, error) {
	cfg := kafkalog.KafkaConfig{Brokers: strings.Split(k.Address, ","), Topic: k.Topic, ClientID: k.ClientID, CreateTopic: k.Create, Partitions: k.Partitions,
		User: k.User, Password: k.Password.Value()}
	if k.TLS {
		cfg.TLS = &tls.Config{ServerName: k.ServerName, InsecureSkipVerify: k.SkipVerify, MinVersion: tls.VersionTLS12}
		if k.CA != "" {
			pem, err := os.ReadFile(k.CA)
			if err != nil {
				return nil, fmt.Errorf("ingest.kafka.tls_ca_path: %w", err)
			}
			cfg.TLS.RootCAs = x509.NewCertPool()
			if !cfg.TLS.RootCAs.AppendCertsFromPEM(pem) {
				return nil, fmt.Errorf("ingest.kafka.tls_ca_path: %s holds no certificate", k.CA)
			}
		}
		if k.Cert != "" {
			cert, err := tls.LoadX509KeyPair(k.Cert, k.Key)
			if err != nil {
				return nil, fmt.Errorf("ingest.kafka.tls_cert_path, tls_key_path: %w", err)
			}
			cfg.TLS.Certificates = []tls.Certificate{cert}
		}
	}
	l, err := kafkalog.OpenKafka(cfg)
	if err != nil {
		return nil, fmt.Errorf("%w: check ingest.kafka.address, and that the brokers can be reached", err)
	}
	return l, nil
}
