package blockstore

import (
	"encoding/binary"

	"github.com/google/uuid"
)

// idSpace is the namespace of block ids, itself made once by version 4.
const idSpace = "8b8b2f0e-6a4f-4e0c-9c59-1c1fd3f0a6d4"

// NewID returns an id for a block of the offsets [from, to) of a partition. No two calls return the
// same id, even with the same arguments: attempt tells the attempts of one builder apart, and
// chance those of a builder that was restarted and counts its attempts from one again. So no two
// writes ever share objects.
func NewID(tenant, epoch string, partition int32, from, to int64, attempt int) string {
	b := make([]byte, 0, 64)
	b = binary.AppendUvarint(b, uint64(len(tenant)))
	b = append(b, tenant...)
	b = binary.AppendUvarint(b, uint64(len(epoch)))
	b = append(b, epoch...)
	b = binary.AppendVarint(b, int64(partition))
	b = binary.AppendVarint(b, from)
	b = binary.AppendVarint(b, to)
	salt := uuid.New()
	b = append(b, salt[:]...)
	b = binary.AppendVarint(b, int64(attempt))
	return uuid.NewSHA1(uuid.MustParse(idSpace), b).String()
}
