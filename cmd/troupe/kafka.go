package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/storage/kafkalog"
)

// Kafka is the log that several nodes share. If it has an address, it replaces the embedded log.
type Kafka struct {
	// The Kafka brokers, as host:port with commas between them. If it is empty, the node uses its
	// embedded log.
	Address string `koanf:"address"`
	// The topic that holds the log. Only distributors of Troupe may write to it.
	Topic string `koanf:"topic"`
	// The name by which the brokers know the node.
	ClientID string `koanf:"client_id"`
	// How long a connection to a broker may take.
	DialTimeout time.Duration `koanf:"dial_timeout"`
	// How long the brokers may take to acknowledge records.
	WriteTimeout time.Duration `koanf:"write_timeout"`
	// How records are compressed: none, gzip, snappy, lz4 or zstd. If it is empty, by snappy.
	Compression string `koanf:"producer_compression"`
	// The memory for records that the brokers have not acknowledged yet. Beyond it pushes wait.
	Buffered config.Bytes `koanf:"producer_max_buffered_bytes"`
	NewTopic `koanf:",squash"`
	// How the node authenticates to the brokers: PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512.
	Mechanism string `koanf:"sasl_mechanism"`
	// The user name for SASL. If it is empty, the node does not authenticate.
	User string `koanf:"sasl_username"`
	// The password of that user.
	Password config.Secret `koanf:"sasl_password"`
	// Whether connections to the brokers use TLS 1.2 or newer.
	TLS bool `koanf:"tls_enabled"`
	// How the brokers are reached, if tls_enabled is set.
	Client config.ClientTLS `koanf:",squash"`
}

// NewTopic is what a topic is created with.
type NewTopic struct {
	// Whether the topic is created if it does not exist.
	Create bool `koanf:"auto_create_topic_enabled"`
	// The number of partitions of a topic that is created.
	Partitions int `koanf:"auto_create_topic_default_partitions"`
	// The number of replicas of a topic that is created. 0 means three, or as many as there are
	// brokers.
	Replicas int `koanf:"auto_create_topic_replication_factor"`
	// How long a topic that is created keeps its records. What is in no block by then is lost.
	Retention time.Duration `koanf:"auto_create_topic_retention"`
}

func defaultKafka() Kafka {
	return Kafka{
		Topic:        "troupe-ingest",
		ClientID:     "troupe",
		DialTimeout:  2 * time.Second,
		WriteTimeout: 10 * time.Second,
		Buffered:     64 << 20,
		NewTopic:     NewTopic{Create: true, Partitions: 32, Retention: 7 * 24 * time.Hour},
		Mechanism:    kafkalog.Plain,
	}
}

// Validate names every value that cannot work.
func (k Kafka) Validate() error {
	if k.Address == "" {
		return nil
	}
	var errs []error
	refuse := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if k.Topic == "" {
		refuse("topic: must be given with an address")
	}
	if k.Create && k.Partitions < 1 {
		refuse("auto_create_topic_default_partitions: %d is below 1", k.Partitions)
	}
	if k.Create && k.Replicas < 0 {
		refuse("auto_create_topic_replication_factor: %d is below 0", k.Replicas)
	}
	if k.Create && k.Retention <= 0 {
		refuse("auto_create_topic_retention: %s keeps nothing", k.Retention)
	}
	if k.DialTimeout <= 0 || k.WriteTimeout <= 0 {
		refuse("dial_timeout, write_timeout: must be positive")
	}
	if k.Buffered < 1<<20 {
		refuse("producer_max_buffered_bytes: %d is below 1 MiB", k.Buffered)
	}
	if !slices.Contains(kafkalog.Compressions(), k.Compression) {
		refuse("producer_compression: %q is none of %s", k.Compression, strings.Join(kafkalog.Compressions()[1:], ", "))
	}
	if (k.User == "") != (k.Password == "") {
		refuse("sasl_username, sasl_password: both or none")
	}
	if k.User != "" && !slices.Contains(kafkalog.Mechanisms(), k.Mechanism) {
		refuse("sasl_mechanism: %q is none of %s", k.Mechanism, strings.Join(kafkalog.Mechanisms(), ", "))
	}
	return errors.Join(append(errs, k.Client.Validate())...)
}

// maxKafkaRecord is the size in bytes of the largest record that brokers accept by default, less
// what a message of Kafka adds to it.
const maxKafkaRecord = 990_000

// clientConfig is what the log in Kafka is opened with.
func (k Kafka) clientConfig() (kafkalog.KafkaConfig, error) {
	cfg := kafkalog.KafkaConfig{
		Brokers:          strings.Split(k.Address, ","),
		Topic:            k.Topic,
		ClientID:         k.ClientID,
		DialTimeout:      k.DialTimeout,
		WriteTimeout:     k.WriteTimeout,
		Compression:      k.Compression,
		MaxInFlightBytes: int64(k.Buffered),
		Auth:             kafkalog.Auth{Mechanism: k.Mechanism, User: k.User, Password: k.Password.Value()},
	}
	if k.Create {
		cfg.Create = &kafkalog.NewTopic{Partitions: k.Partitions, Replicas: k.Replicas, Retention: k.Retention}
	}
	if k.TLS {
		var err error
		if cfg.Auth.TLS, err = k.Client.Client(); err != nil {
			return cfg, fmt.Errorf("ingest.kafka.%w", err)
		}
	}
	return cfg, nil
}
