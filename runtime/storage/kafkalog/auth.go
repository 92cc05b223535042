package kafkalog

import (
	"crypto/tls"
	"maps"
	"slices"

	"github.com/IBM/sarama"
	"github.com/xdg-go/scram"
)

// The mechanisms by which a node authenticates.
const (
	Plain       = sarama.SASLTypePlaintext
	ScramSHA256 = sarama.SASLTypeSCRAMSHA256
	ScramSHA512 = sarama.SASLTypeSCRAMSHA512
)

// Mechanisms lists the values of Auth.Mechanism.
func Mechanisms() []string { return []string{Plain, ScramSHA256, ScramSHA512} }

// Auth is how the node and the brokers know each other.
type Auth struct {
	Mechanism      string      // Plain
	User, Password string      // empty: the node does not authenticate
	TLS            *tls.Config // nil: plain connections
}

// configure has a client do so.
func (a Auth) configure(c *sarama.Config) {
	c.Net.TLS.Enable, c.Net.TLS.Config = a.TLS != nil, a.TLS
	s := &c.Net.SASL
	s.Enable, s.User, s.Password = a.User != "", a.User, a.Password
	s.Mechanism = Plain
	if a.Mechanism != "" {
		s.Mechanism = sarama.SASLMechanism(a.Mechanism)
	}
	hash := scram.SHA256
	if a.Mechanism == ScramSHA512 {
		hash = scram.SHA512
	}
	s.SCRAMClientGeneratorFunc = func() sarama.SCRAMClient { return &scramClient{hash: hash} }
}

// scramClient is one exchange, in which neither side sends the password.
type scramClient struct {
	hash scram.HashGeneratorFcn
	*scram.ClientConversation
}

func (s *scramClient) Begin(user, password, authzID string) error {
	c, err := s.hash.NewClient(user, password, authzID)
	if err != nil {
		return err
	}
	s.ClientConversation = c.NewConversation()
	return nil
}

// compressions are the ways to compress records, by name.
var compressions = map[string]sarama.CompressionCodec{
	"":       sarama.CompressionSnappy,
	"none":   sarama.CompressionNone,
	"gzip":   sarama.CompressionGZIP,
	"snappy": sarama.CompressionSnappy,
	"lz4":    sarama.CompressionLZ4,
	"zstd":   sarama.CompressionZSTD,
}

// Compressions lists the values of KafkaConfig.Compression; the first is empty.
func Compressions() []string { return slices.Sorted(maps.Keys(compressions)) }
