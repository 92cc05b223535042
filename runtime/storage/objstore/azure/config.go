package azure

import (
	"errors"
	"time"

	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// Config names the container and says how to reach it. Its keys are Tempo's.
type Config struct {
	// The name of the storage account.
	Account string `koanf:"storage_account_name"`
	// The key of the account. Empty: an identity is used.
	Key config.Secret `koanf:"storage_account_key"`
	// The name of the container. It must exist.
	Container string `koanf:"container_name"`
	// A folder of the container in which all objects are. Empty: none.
	Prefix string `koanf:"prefix"`
	// The domain of the store behind the name of the account. A URL, such as http://azurite:10000,
	// is the store itself, which is asked with the account in the path.
	EndpointSuffix string `koanf:"endpoint_suffix"`
	// Whether the identity of the machine is used.
	ManagedIdentity bool `koanf:"use_managed_identity"`
	// Whether the identity of the Kubernetes workload is used.
	FederatedToken bool `koanf:"use_federated_token"`
	// The client id of the identity of the machine, if it has several.
	UserAssigned string `koanf:"user_assigned_id"`
	// After how long without a first byte a read is sent a second time. 0: never.
	HedgeAfter time.Duration `koanf:"hedge_requests_at"`
}

// DefaultConfig names no container.
func DefaultConfig() Config {
	return Config{EndpointSuffix: "blob.core.windows.net", HedgeAfter: objstore.DefaultRemoteConfig().HedgeAfter}
}

// Validate names every value that cannot work.
func (c Config) Validate() error {
	var errs []error
	if c.Container != "" && (c.Account == "" || c.EndpointSuffix == "") {
		errs = append(errs, errors.New("storage_account_name, endpoint_suffix: must be given with a container"))
	}
	if c.HedgeAfter < 0 {
		errs = append(errs, errors.New("hedge_requests_at: must not be negative"))
	}
	return errors.Join(errs...)
}
