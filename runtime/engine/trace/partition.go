package trace

import "github.com/cespare/xxhash/v2"

// Partition is the log partition, 0 ≤ p < parts, of a tenant's trace: XXH64 (seed 0) of the
// tenant's name, a zero byte and the 16 bytes of the id, modulo parts. It is part of the log's and
// the blocks' format and never changes. parts ≤ 1 gives 0.
func Partition(tenant string, id ID, parts int) int32 {
	if parts <= 1 {
		return 0
	}
	var buf [192]byte
	if len(tenant) <= len(buf)-1-len(id) {
		n := copy(buf[:], tenant)
		n += 1 + copy(buf[n+1:], id[:])
		return int32(xxhash.Sum64(buf[:n]) % uint64(parts))
	}
	long := make([]byte, 0, len(tenant)+1+len(id))
	long = append(append(append(long, tenant...), 0), id[:]...)
	return int32(xxhash.Sum64(long) % uint64(parts))
}
