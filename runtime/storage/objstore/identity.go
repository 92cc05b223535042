package objstore

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"hash/crc32"
	"strings"
)

// identityName is the object that tells a bucket from every other one. It has no folder, because it
// belongs to the bucket and not to a tenant.
const identityName = "bucket-id"

// maxIdentity bounds that object, in bytes.
const maxIdentity = 256

// Identity is what tells one bucket from another.
type Identity struct {
	ID    string // empty: the bucket has none that can be read
	Empty bool   // it holds no object of a node
}

// ReadIdentity reads a bucket's identity and changes nothing. A damaged identity counts as none.
func ReadIdentity(ctx context.Context, b Bucket) (Identity, error) {
	var i Identity
	raw, err := b.Read(ctx, identityName, maxIdentity)
	switch {
	case err == nil:
		i.ID = decodeIdentity(raw)
	case !errors.Is(err, ErrNotFound) && !errors.Is(err, ErrTooLarge):
		return i, fmt.Errorf("read the identity of the bucket: %w", err)
	}
	i.Empty = true
	found := errors.New("found")
	err = b.List(ctx, "", func(o Info) error {
		if o.Name == identityName {
			return nil
		}
		i.Empty = false
		return found
	})
	if err != nil && !errors.Is(err, found) {
		return i, fmt.Errorf("list the bucket: %w", err)
	}
	return i, nil
}

// SaveIdentity gives an identity to a bucket that has none which can be read: id, or a new one if
// id is empty. It returns the identity that the bucket has then, which is that of another process
// if that was faster.
func SaveIdentity(ctx context.Context, b Bucket, id string) (string, error) {
	if id == "" {
		id = rand.Text()
	}
	for range 3 {
		_, err := b.Create(ctx, identityName, strings.NewReader(encodeIdentity(id)))
		if err == nil {
			return id, nil
		}
		if !errors.Is(err, ErrExists) {
			return "", fmt.Errorf("write the identity of the bucket: %w", err)
		}
		have, err := ReadIdentity(ctx, b)
		if err != nil || have.ID != "" {
			return have.ID, err
		}
		if err := b.Delete(ctx, identityName); err != nil {
			return "", fmt.Errorf("replace the damaged identity of the bucket: %w", err)
		}
	}
	return "", errors.New("write the identity of the bucket: another process replaces it again and again")
}

func encodeIdentity(id string) string {
	return fmt.Sprintf("troupe bucket %s %08x\n", id, crc32.ChecksumIEEE([]byte(id)))
}

// decodeIdentity returns "" for a damaged identity.
func decodeIdentity(raw []byte) string {
	var id string
	var crc uint32
	_, err := fmt.Sscanf(string(raw), "troupe bucket %s %x\n", &id, &crc)
	if err != nil || !bytes.Equal(raw, []byte(encodeIdentity(id))) {
		return ""
	}
	return id
}
