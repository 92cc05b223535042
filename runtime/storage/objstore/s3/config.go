package s3

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/minio/minio-go/v7/pkg/encrypt"

	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// Config names the bucket and says how to reach it. Its keys are Tempo's.
type Config struct {
	// The name of the bucket. It must exist.
	Bucket string `koanf:"bucket"`
	// A folder of the bucket in which all objects are. Empty: none.
	Prefix string `koanf:"prefix"`
	// The address of the store, such as s3.eu-central-1.amazonaws.com or minio:9000.
	Endpoint string `koanf:"endpoint"`
	// The region of the bucket. Empty: the store is asked for it.
	Region string `koanf:"region"`
	Keys   Keys   `koanf:",squash"`
	// Whether the store is reached by HTTP without TLS.
	Insecure bool `koanf:"insecure"`
	// Whether the bucket is named in the path of requests, as most stores other than Amazon's want
	// it, and never in the host name.
	ForcePathStyle bool `koanf:"forcepathstyle"`
	// How requests name the bucket: 0 chooses by the endpoint, 1 by host name, 2 by path.
	BucketLookup int `koanf:"bucket_lookup_type"`
	// The class of storage of objects, such as STANDARD_IA. Empty: that of the bucket.
	StorageClass string `koanf:"storage_class"`
	// Tags that objects get.
	Tags map[string]string `koanf:"tags"`
	// Metadata that objects get.
	Metadata map[string]string `koanf:"metadata"`
	Retries  Retries           `koanf:",squash"`
	SSE      SSE               `koanf:"sse"`
	TLS      config.ClientTLS  `koanf:",squash"`
}

// Keys are what requests are signed with.
type Keys struct {
	// The name of the key to sign requests with. Empty: the environment, the file of credentials,
	// or the role of the machine is used.
	AccessKey string `koanf:"access_key"`
	// The secret of the key.
	SecretKey config.Secret `koanf:"secret_key"`
	// The token of a key that is valid for some time only.
	SessionToken config.Secret `koanf:"session_token"`
}

// Retries say what happens when a request fails or is slow.
type Retries struct {
	// After how long without a first byte a read is sent a second time. 0: never.
	HedgeAfter time.Duration `koanf:"hedge_requests_at"`
	// How often a request is sent at most, until it succeeds.
	Attempts int `koanf:"retry_max_attempts"`
	// The pause before a request is sent again. The pauses double.
	FirstPause time.Duration `koanf:"retry_backoff_initial"`
	// The longest pause before a request is sent again.
	LastPause time.Duration `koanf:"retry_backoff_max"`
}

// SSE is how the store encrypts objects.
type SSE struct {
	// The kind of encryption: SSE-S3, SSE-KMS or SSE-C. Empty: that of the bucket.
	Type string `koanf:"type"`
	// The key of SSE-KMS.
	KMSKey string `koanf:"kms_key_id"`
	// The encryption context of SSE-KMS, as JSON.
	KMSContext string `koanf:"kms_encryption_context"`
	// The 32 bytes of the key of SSE-C.
	Key config.Secret `koanf:"encryption_key"`
}

// encryption returns what requests say of it, nil for nothing.
func (s SSE) encryption() (encrypt.ServerSide, error) {
	var out encrypt.ServerSide
	var err error
	switch s.Type {
	case "":
		return nil, nil
	case "SSE-S3":
		return encrypt.NewSSE(), nil
	case "SSE-KMS":
		var context any
		if s.KMSContext != "" {
			context = json.RawMessage(s.KMSContext)
		}
		if out, err = encrypt.NewSSEKMS(s.KMSKey, context); err != nil {
			err = fmt.Errorf("sse.kms_encryption_context: %w", err)
		}
	case "SSE-C":
		if out, err = encrypt.NewSSEC([]byte(s.Key.Value())); err != nil {
			err = fmt.Errorf("sse.encryption_key: %w", err)
		}
	default:
		err = fmt.Errorf("sse.type: %q is none of SSE-S3, SSE-KMS and SSE-C", s.Type)
	}
	return out, err
}

// DefaultConfig names no bucket.
func DefaultConfig() Config {
	r := objstore.DefaultRemoteConfig()
	return Config{Retries: Retries{
		HedgeAfter: r.HedgeAfter,
		Attempts:   r.Attempts,
		FirstPause: r.FirstPause,
		LastPause:  r.LastPause,
	}}
}

// Validate names every value that cannot work. Without a bucket nothing is checked.
func (c Config) Validate() error {
	if c.Bucket == "" {
		return nil
	}
	var errs []error
	must := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	must(c.Endpoint != "", "endpoint: must name the store, such as s3.eu-central-1.amazonaws.com")
	must((c.Keys.AccessKey == "") == (c.Keys.SecretKey == ""), "access_key, secret_key: both or none")
	must(c.BucketLookup >= 0 && c.BucketLookup <= 2, "bucket_lookup_type: must be 0, 1 or 2")
	must(c.Retries.Attempts >= 1, "retry_max_attempts: must be at least 1")
	must(c.Retries.FirstPause > 0 && c.Retries.LastPause >= c.Retries.FirstPause,
		"retry_backoff_initial, retry_backoff_max: must be positive, the second one not below the first")
	must(c.Retries.HedgeAfter >= 0, "hedge_requests_at: must not be negative")
	_, err := c.SSE.encryption()
	return errors.Join(append(errs, err, c.TLS.Validate())...)
}
