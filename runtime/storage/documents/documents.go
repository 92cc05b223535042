// Package documents keeps one small document for each tenant, with versions: who writes names the
// version that is replaced.
//
// They are the state of a journal, in memory as a whole, so that reading one costs nothing. A
// writer whose entry's number is taken reads what the other wrote and checks its version again; no
// other lock is needed between processes.
package documents

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/troupe-tracing/troupe/runtime/storage/journal"
)

var (
	// ErrVersion: the document is not of the version that was to be replaced.
	ErrVersion = errors.New("version does not match")
	// ErrFull: there are as many documents as there may be.
	ErrFull = errors.New("too many documents")
)

// MaxDocuments is how many tenants can have one.
const MaxDocuments = 10_000

// snapshotEvery is after how many entries the journal is made short.
const snapshotEvery = 100

// Document is what is kept for a tenant. Version 0 says that there is none; no other version ever
// comes twice.
type Document struct {
	Version uint64          `json:"version"`
	Body    json.RawMessage `json:"body"`
}

// entry of the journal. Without a body it removes the document.
type entry struct {
	Tenant string          `json:"tenant"`
	Body   json.RawMessage `json:"body,omitempty"`
}

// Store is safe for concurrent use.
type Store struct {
	journal *journal.Journal
	docs    atomic.Pointer[map[string]Document] // replaced as a whole

	mu          sync.Mutex // of writers
	seq         uint64     // of the last entry in docs
	snapshotSeq uint64
	stale       bool // an append ended without saying whether it is there
}

// Open reads the documents.
func Open(ctx context.Context, j *journal.Journal) (*Store, error) {
	s := &Store{journal: j}
	s.docs.Store(&map[string]Document{})
	return s, s.Refresh(ctx)
}

// Get returns a tenant's document. The body is not to be changed.
func (s *Store) Get(tenant string) Document { return (*s.docs.Load())[tenant] }

// Tenants lists who has a document, in order.
func (s *Store) Tenants() []string { return slices.Sorted(maps.Keys(*s.docs.Load())) }

// Put makes body, which is valid JSON, the tenant's document in place of that of a version, and
// returns the new version when it is durable.
// Errors: ErrVersion, ErrFull; after another the document may be the old one or the new one.
func (s *Store) Put(ctx context.Context, tenant string, version uint64, body []byte) (uint64, error) {
	return s.write(ctx, version, entry{Tenant: tenant, Body: body})
}

// Delete removes a tenant's document of a version. Errors as Put.
func (s *Store) Delete(ctx context.Context, tenant string, version uint64) error {
	_, err := s.write(ctx, version, entry{Tenant: tenant})
	return err
}

func (s *Store) write(ctx context.Context, version uint64, e entry) (uint64, error) {
	b, err := json.Marshal(e)
	if err != nil {
		return 0, fmt.Errorf("write document of %s: %w", e.Tenant, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if s.stale {
			if err := s.refresh(ctx); err != nil {
				return 0, err
			}
		}
		docs := *s.docs.Load()
		switch have := docs[e.Tenant].Version; {
		case have != version:
			return 0, fmt.Errorf("document of %s has version %d, not %d: %w", e.Tenant, have, version, ErrVersion)
		case have == 0 && len(e.Body) > 0 && len(docs) >= MaxDocuments:
			return 0, fmt.Errorf("%w: %d, delete some first", ErrFull, len(docs))
		}
		err := s.journal.Append(ctx, s.seq+1, b)
		s.stale = err != nil
		switch {
		case errors.Is(err, journal.ErrTaken):
			continue // another wrote meanwhile
		case err != nil:
			return 0, fmt.Errorf("write document of %s: %w", e.Tenant, err)
		}
		s.seq++
		next := maps.Clone(docs)
		apply(next, s.seq, e)
		s.docs.Store(&next)
		if s.seq >= s.snapshotSeq+snapshotEvery {
			s.snapshot(ctx, next)
		}
		return s.seq, nil
	}
}

func apply(docs map[string]Document, seq uint64, e entry) {
	if len(e.Body) == 0 {
		delete(docs, e.Tenant)
		return
	}
	docs[e.Tenant] = Document{Version: seq, Body: e.Body}
}

// snapshot makes the journal short. Where that fails it only stays long, and the next write tries
// again.
func (s *Store) snapshot(ctx context.Context, docs map[string]Document) {
	b, err := json.Marshal(docs)
	if err != nil {
		return
	}
	if err := s.journal.SaveSnapshot(ctx, s.seq, b); err == nil || errors.Is(err, journal.ErrTaken) {
		s.snapshotSeq = s.seq
	}
}

// Refresh takes up what other processes have written.
func (s *Store) Refresh(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.refresh(ctx)
}

func (s *Store) refresh(ctx context.Context) error {
	l, err := s.journal.Load(ctx)
	if err != nil {
		return err
	}
	docs := map[string]Document{}
	if l.Snapshot != nil {
		if err := json.Unmarshal(l.Snapshot, &docs); err != nil {
			return fmt.Errorf("read snapshot %d of the documents: %w: %w", l.SnapshotSeq, err, journal.ErrCorrupt)
		}
	}
	for i, b := range l.Entries {
		seq := l.SnapshotSeq + uint64(i) + 1
		var e entry
		if err := json.Unmarshal(b, &e); err != nil || e.Tenant == "" {
			return fmt.Errorf("read entry %d of the documents: %w: %w", seq, err, journal.ErrCorrupt)
		}
		apply(docs, seq, e)
	}
	s.docs.Store(&docs)
	s.seq, s.snapshotSeq, s.stale = l.Last, l.SnapshotSeq, false
	return nil
}
