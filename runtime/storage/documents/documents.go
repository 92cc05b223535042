// Package documents keeps one small document for each tenant. Documents have versions, and a writer
// names the version that it replaces.
//
// The documents are the state of a journal. All of them are in memory, so that reading one costs
// nothing. When the number of a writer's entry is taken, the writer reads the other's entry and
// checks its version again. No other lock is needed between processes.
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

// The errors of a Store.
var (
	// ErrVersion means that the document does not have the version that was to be replaced.
	ErrVersion = errors.New("version does not match")
	// ErrFull means that there are MaxDocuments documents.
	ErrFull = errors.New("too many documents")
)

// MaxDocuments is how many tenants can have a document.
const MaxDocuments = 10_000

// snapshotEvery is the number of entries between two snapshots of the journal.
const snapshotEvery = 100

// Document is a tenant's document. Version 0 means that there is none. No other version ever comes
// twice.
type Document struct {
	Version uint64          `json:"version"`
	Body    json.RawMessage `json:"body"`
}

// entry is an entry of the journal. Without a body it removes the document.
type entry struct {
	Tenant string          `json:"tenant"`
	Body   json.RawMessage `json:"body,omitempty"`
}

// Store holds the documents of all tenants. It is safe for concurrent use.
type Store struct {
	journal *journal.Journal
	docs    atomic.Pointer[map[string]Document] // replaced as a whole

	mu          sync.Mutex // of writers
	seq         uint64     // of the last entry in docs
	snapshotSeq uint64
	stale       bool // an append has failed, so that its entry may or may not exist
}

// Open reads the documents.
func Open(ctx context.Context, j *journal.Journal) (*Store, error) {
	s := &Store{journal: j}
	s.docs.Store(&map[string]Document{})
	return s, s.Refresh(ctx)
}

// Get returns a tenant's document. The body must not be changed.
func (s *Store) Get(tenant string) Document { return (*s.docs.Load())[tenant] }

// Tenants lists the tenants that have a document, sorted.
func (s *Store) Tenants() []string { return slices.Sorted(maps.Keys(*s.docs.Load())) }

// Put replaces version of the tenant's document by body, which must be valid JSON. It returns the
// new version when it is durable. Errors: ErrVersion, ErrFull. After any other error the document
// may be the old or the new one.
func (s *Store) Put(ctx context.Context, tenant string, version uint64, body []byte) (uint64, error) {
	return s.writeEntry(ctx, version, entry{Tenant: tenant, Body: body})
}

// Delete removes version of a tenant's document. Errors are those of Put.
func (s *Store) Delete(ctx context.Context, tenant string, version uint64) error {
	_, err := s.writeEntry(ctx, version, entry{Tenant: tenant})
	return err
}

// writeEntry appends an entry that replaces a version of the tenant's document.
func (s *Store) writeEntry(ctx context.Context, version uint64, e entry) (uint64, error) {
	b, err := json.Marshal(e)
	if err != nil {
		return 0, fmt.Errorf("write document of %s: %w", e.Tenant, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		if s.stale {
			if err := s.readAll(ctx); err != nil {
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
			continue // another process wrote meanwhile
		case err != nil:
			return 0, fmt.Errorf("write document of %s: %w", e.Tenant, err)
		}
		s.seq++
		next := maps.Clone(docs)
		applyEntry(next, s.seq, e)
		s.docs.Store(&next)
		if s.seq >= s.snapshotSeq+snapshotEvery {
			s.saveSnapshot(ctx, next)
		}
		return s.seq, nil
	}
}

func applyEntry(docs map[string]Document, seq uint64, e entry) {
	if len(e.Body) == 0 {
		delete(docs, e.Tenant)
		return
	}
	docs[e.Tenant] = Document{Version: seq, Body: e.Body}
}

// saveSnapshot makes the journal short. If that fails, the journal stays long, and the next write
// tries again.
func (s *Store) saveSnapshot(ctx context.Context, docs map[string]Document) {
	b, err := json.Marshal(docs)
	if err != nil {
		return
	}
	if err := s.journal.SaveSnapshot(ctx, s.seq, b); err == nil || errors.Is(err, journal.ErrTaken) {
		s.snapshotSeq = s.seq
	}
}

// Refresh reads the documents again, with the entries of other processes.
func (s *Store) Refresh(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.readAll(ctx)
}

func (s *Store) readAll(ctx context.Context) error {
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
		applyEntry(docs, seq, e)
	}
	s.docs.Store(&docs)
	s.seq, s.snapshotSeq = l.Last, l.SnapshotSeq
	s.stale = false
	return nil
}
