package main

import (
	"errors"
	"fmt"
	"strings"

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
	// Whether the topic is created if it does not exist.
	Create bool `koanf:"auto_create_topic_enabled"`
	// The number of partitions of a topic that is created.
	Partitions int `koanf:"auto_create_topic_default_partitions"`
	// How the node authenticates to the brokers. Only PLAIN is built.
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
	return errors.Join(append(errs, k.Client.Validate())...)
}

// maxKafkaRecord is the size in bytes of the largest record that brokers accept by default, less
// what a message of Kafka adds to it.
const maxKafkaRecord = 990_000

func openKafka(k Kafka) (kafkalog.Log, error) {
	cfg := kafkalog.KafkaConfig{
		Brokers:  strings.Split(k.Address, ","),
		Topic:    k.Topic,
		ClientID: k.ClientID,
		User:     k.User,
		Password: k.Password.Value(),
	}
	if k.Create {
		cfg.Create = &kafkalog.NewTopic{Partitions: k.Partitions}
	}
	if k.TLS {
		var err error
		if cfg.TLS, err = k.Client.Client(); err != nil {
			return nil, fmt.Errorf("ingest.kafka.%w", err)
		}
	}
	l, err := kafkalog.OpenKafka(cfg)
	if err != nil {
		return nil, fmt.Errorf("%w: check ingest.kafka.address, and that the brokers can be reached", err)
	}
	return l, nil
}
