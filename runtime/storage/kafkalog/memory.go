package kafkalog

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// Memory is a log in memory for tests and simulations. It starts no goroutines. Its own methods
// change history as that of a real log may change.
type Memory struct {
	mu      sync.Mutex
	epoch   int
	leader  int32
	parts   []memoryPartition
	changed chan struct{} // closed and replaced by every change that a waiting Read has to see
	noWait  bool
	down    error
	limit   int64
	size    int64
	now     func() time.Time
}

type memoryPartition struct {
	start int64
	recs  []Record
	fp    []Fingerprint // of recs
	last  Fingerprint   // of the record at start-1
}

func (p *memoryPartition) endOffset() int64 { return p.start + int64(len(p.recs)) }

// NewMemory makes an empty log of n partitions.
func NewMemory(n int) *Memory {
	return &Memory{epoch: 1, parts: make([]memoryPartition, n), changed: make(chan struct{}), now: time.Now}
}

// NoWait makes reads return at once instead of waiting, as a simulation on one thread needs it.
func (m *Memory) NoWait() { m.applyChange(func() { m.noWait = true }) }

// SetClock sets the clock that gives records without a time their time.
func (m *Memory) SetClock(now func() time.Time) { m.applyChange(func() { m.now = now }) }

// Limit refuses appends with ErrFull beyond this many bytes; 0 is no limit.
func (m *Memory) Limit(bytes int64) { m.applyChange(func() { m.limit = bytes }) }

// Kill makes every call fail with err, or with ErrClosed if err is nil, until Revive. The content
// stays, as that of a dead process does.
func (m *Memory) Kill(err error) {
	if err == nil {
		err = ErrClosed
	}
	m.applyChange(func() { m.down = err })
}

// Revive ends Kill.
func (m *Memory) Revive() { m.applyChange(func() { m.down = nil }) }

// Reset replaces the log by an empty one with a new epoch, as a deleted directory or topic does.
func (m *Memory) Reset() {
	m.applyChange(func() {
		m.epoch++
		m.size = 0
		m.parts = make([]memoryPartition, len(m.parts))
	})
}

// Grow raises the number of partitions to n.
func (m *Memory) Grow(n int) {
	m.applyChange(func() {
		for len(m.parts) < n {
			m.parts = append(m.parts, memoryPartition{})
		}
	})
}

// Truncate forgets the records of a partition from offset to on, without a new epoch, as an unclean
// leader election does.
func (m *Memory) Truncate(partition int32, to int64) {
	m.applyChange(func() {
		m.leader++
		p := &m.parts[partition]
		if n := to - p.start; n >= 0 && n < int64(len(p.recs)) {
			p.recs, p.fp = p.recs[:n:n], p.fp[:n:n]
		}
	})
}

// applyChange makes a change under the lock and wakes the readers that wait.
func (m *Memory) applyChange(f func()) {
	m.mu.Lock()
	defer m.mu.Unlock()
	f()
	m.wakeReaders()
}

func (m *Memory) wakeReaders() {
	close(m.changed)
	m.changed = make(chan struct{})
}

func (m *Memory) Epoch() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return fmt.Sprintf("memory-%d", m.epoch)
}

func (m *Memory) Partitions() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.parts)
}

// findPartition returns a partition, or the error of every call.
func (m *Memory) findPartition(ctx context.Context, p int32) (*memoryPartition, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if m.down != nil {
		return nil, m.down
	}
	if err := checkPartition(p, len(m.parts)); err != nil {
		return nil, err
	}
	return &m.parts[p], nil
}

func (m *Memory) Append(ctx context.Context, partition int32, recs []Record) (int64, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.findPartition(ctx, partition)
	if err != nil {
		return 0, err
	}
	if err := checkRecords(recs); err != nil {
		return 0, err
	}
	var bytes int64
	for i := range recs {
		bytes += int64(recs[i].countedBytes())
	}
	if m.limit > 0 && m.size+bytes > m.limit {
		return 0, fmt.Errorf("append %d bytes to %d of at most %d: %w", bytes, m.size, m.limit, ErrFull)
	}
	m.size += bytes
	for _, r := range recs {
		r.Offset = p.endOffset()
		if r.Time.IsZero() {
			r.Time = m.now()
		}
		p.recs = append(p.recs, r)
		p.fp = append(p.fp, Fingerprint{CRC: contentCRC(&r), LeaderEpoch: m.leader})
	}
	m.wakeReaders()
	return p.endOffset(), nil
}

func (m *Memory) Read(ctx context.Context, partition int32, from int64, maxBytes int, wait time.Duration) (
	Batch, error) {
	var timeout <-chan time.Time
	for {
		b, changed, err := m.readNow(ctx, partition, from, maxBytes)
		if err != nil || len(b.Records) > 0 || wait <= 0 || changed == nil {
			return b, err
		}
		if timeout == nil {
			t := time.NewTimer(wait)
			defer t.Stop()
			timeout = t.C
		}
		select {
		case <-changed:
		case <-timeout:
			return b, nil
		case <-ctx.Done():
			return Batch{}, ctx.Err()
		}
	}
}

// readNow reads without waiting. changed is closed when there is more; it is nil for a log that
// never waits.
func (m *Memory) readNow(ctx context.Context, partition int32, from int64, maxBytes int) (
	b Batch, changed chan struct{}, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.findPartition(ctx, partition)
	if err != nil {
		return Batch{}, nil, err
	}
	if err := checkOffset(partition, from, p.start, p.endOffset()); err != nil {
		return Batch{}, nil, err
	}
	i := int(from - p.start)
	j := i
	for bytes := 0; j < len(p.recs) && (j == i || bytes+p.recs[j].countedBytes() <= maxBytes); j++ {
		bytes += p.recs[j].countedBytes()
	}
	b = Batch{Records: p.recs[i:j:j], Next: p.start + int64(j), End: p.endOffset(), Start: p.start, Leader: m.leader}
	if j > i {
		b.Last = p.fp[j-1]
	}
	if m.noWait {
		return b, nil, nil
	}
	return b, m.changed, nil
}

func (m *Memory) Bounds(ctx context.Context, partition int32) (start, end int64, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.findPartition(ctx, partition)
	if err != nil {
		return 0, 0, err
	}
	return p.start, p.endOffset(), nil
}

func (m *Memory) Fingerprint(ctx context.Context, partition int32, offset int64) (Fingerprint, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.findPartition(ctx, partition)
	if err != nil {
		return Fingerprint{}, err
	}
	switch {
	case offset >= p.start && offset < p.endOffset():
		return p.fp[offset-p.start], nil
	case offset >= 0 && offset == p.start-1:
		return p.last, nil
	}
	return Fingerprint{}, fmt.Errorf("fingerprint partition %d at %d of [%d, %d): %w",
		partition, offset, p.start, p.endOffset(), ErrOutOfRange)
}

func (m *Memory) Trim(ctx context.Context, partition int32, to int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	p, err := m.findPartition(ctx, partition)
	if err != nil {
		return err
	}
	if to > p.endOffset() {
		return fmt.Errorf("trim partition %d to %d of [%d, %d): %w",
			partition, to, p.start, p.endOffset(), ErrOutOfRange)
	}
	n := to - p.start
	if n <= 0 {
		return nil
	}
	for i := range p.recs[:n] {
		m.size -= int64(p.recs[i].countedBytes())
	}
	p.last = p.fp[n-1]
	p.recs = append([]Record(nil), p.recs[n:]...)
	p.fp = append([]Fingerprint(nil), p.fp[n:]...)
	p.start = to
	return nil
}

func (m *Memory) Size() int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.size
}

// Close makes every call fail with ErrClosed, also those that wait. Revive opens the same content
// again.
func (m *Memory) Close() error {
	m.Kill(ErrClosed)
	return nil
}
