package faults

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/proto"

	"github.com/troupe-tracing/troupe/messages/blocks"
	"github.com/troupe-tracing/troupe/runtime/engine/block"
	"github.com/troupe-tracing/troupe/runtime/storage/blockstore"
	"github.com/troupe-tracing/troupe/test/kit/stores"
)

// request is a request to the store, as far as a test asks for it.
type request struct {
	method string
	name   string         // of the object; empty for a list
	prefix string         // of a list
	commit *blocks.Commit // that is written; nil: it is none
}

// isPart reports whether the request is about an object of a block.
func (r request) isPart(method, object string) bool {
	n, ok := blockstore.ParseObjectName(r.name)
	return ok && r.method == method && n.Object == object
}

// writes reports whether the request writes an entry of a kind to the journal.
func (r request) writes(isKind func(*blocks.Entry) bool) bool {
	for _, e := range r.commit.GetEntries() {
		if isKind(e) {
			return true
		}
	}
	return false
}

// traffic is a store behind a proxy, and what has gone through it.
type traffic struct {
	stores.S3
	direct *minio.Client
	mu     sync.Mutex
	open   map[string]bool // leases
	gone   map[string]bool // blocks that are retired
	cuts   int             // that were published
	merges int             // that were published
	trap   *trap
	fault  stores.Handler // what happens to requests; nil: they are passed on
}

// trap holds back the first request that matches.
type trap struct {
	match    func(*traffic, request) bool
	after    bool          // the store has answered it
	hit      chan struct{} // closed when it has caught one
	released chan struct{} // closed when the node is dead
	caught   bool
}

// startTraffic starts a store with an empty bucket, and a proxy before it.
func startTraffic(t *testing.T) *traffic {
	s := stores.StartS3(t)
	direct, err := minio.New(s.Endpoint, &minio.Options{Creds: credentials.NewStaticV4(s.AccessKey, s.SecretKey, "")})
	require.NoError(t, err)
	f := &traffic{direct: direct, open: map[string]bool{}, gone: map[string]bool{}}
	f.S3 = s.Behind(t, f.handle)
	return f
}

// setTrap has the first request that matches held back.
func (f *traffic) setTrap(after bool, match func(*traffic, request) bool) *trap {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trap = &trap{match: match, after: after, hit: make(chan struct{}), released: make(chan struct{})}
	return f.trap
}

// release ends a trap; what it holds never gets an answer.
func (f *traffic) release(t *trap) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.trap = nil
	close(t.released)
}

// setFault decides what happens to requests from now on.
func (f *traffic) setFault(h stores.Handler) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = h
}

// isMerging reports whether a lease is open.
func (f *traffic) isMerging() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.open) > 0
}

// published returns how many cuts and merges were published.
func (f *traffic) published() (cuts, merges int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cuts, f.merges
}

// handle lets a request through, or holds it back.
func (f *traffic) handle(w http.ResponseWriter, r *http.Request, forward http.Handler) {
	q := f.describe(r)
	f.mu.Lock()
	t, fault := f.trap, f.fault
	if t != nil && (t.caught || !t.match(f, q)) {
		t = nil
	}
	if t != nil {
		t.caught = true
	}
	f.mu.Unlock()
	if t != nil && !t.after {
		close(t.hit)
		<-t.released
		panic(http.ErrAbortHandler)
	}
	isDone := false // whatever the node hears of it
	pass := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &answer{ResponseWriter: w}
		forward.ServeHTTP(a, r)
		isDone = isDone || a.code == http.StatusOK
	})
	if fault == nil {
		pass(w, r)
	} else {
		fault(w, r, pass)
	}
	if isDone {
		f.note(q)
	}
	if t != nil {
		close(t.hit)
		<-t.released
		panic(http.ErrAbortHandler)
	}
}

// note keeps in mind what a commit says that has become durable.
func (f *traffic) note(q request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range q.commit.GetEntries() {
		switch {
		case e.GetCutPublished() != nil:
			f.cuts++
		case e.GetJobLeased() != nil:
			f.open[e.GetJobLeased().GetLease()] = true
		case e.GetJobClosed() != nil:
			delete(f.open, e.GetJobClosed().GetLease())
		}
		if m := e.GetBlocksReplaced(); m != nil {
			delete(f.open, m.GetLease())
			f.merges++
			for _, id := range m.GetInputs() {
				f.gone[id] = true
			}
		}
		for _, id := range e.GetBlocksRetired().GetBlocks() {
			f.gone[id] = true
		}
	}
}

// answer is the answer of the store.
type answer struct {
	http.ResponseWriter
	code int
}

func (a *answer) WriteHeader(code int) {
	a.code = code
	a.ResponseWriter.WriteHeader(code)
}

var entryName = regexp.MustCompile(`^catalog/\d{20}$`)

// describe reads of a request what tests ask for, and leaves it as it was.
func (f *traffic) describe(r *http.Request) request {
	name := strings.TrimPrefix(strings.TrimPrefix(r.URL.Path, "/"+f.Bucket), "/")
	q := request{method: r.Method, name: name, prefix: r.URL.Query().Get("prefix")}
	if r.Method != http.MethodPut {
		return q
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return q
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	if entryName.MatchString(name) {
		q.commit = decodeCommit(body, r.Header.Get("X-Amz-Decoded-Content-Length"))
	}
	return q
}

// decodeCommit decodes an object of the journal, which may be sent as one signed chunk.
func decodeCommit(body []byte, length string) *blocks.Commit {
	at := bytes.Index(body, []byte("trj1"))
	if at < 0 {
		return nil
	}
	body = body[at:]
	if n, err := strconv.Atoi(length); err == nil {
		body = body[:min(n, len(body))]
	}
	var c blocks.Commit
	if len(body) < 8 || proto.Unmarshal(body[8:], &c) != nil {
		return nil
	}
	return &c
}

// objects reads all objects of the bucket whose names begin with a prefix.
func (f *traffic) objects(t *testing.T, prefix string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	for o := range f.direct.ListObjects(context.Background(), f.Bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		require.NoError(t, o.Err)
		r, err := f.direct.GetObject(context.Background(), f.Bucket, o.Key, minio.GetObjectOptions{})
		require.NoError(t, err)
		b, err := io.ReadAll(r)
		if minio.ToErrorResponse(err).Code == "NoSuchKey" { // it was removed meanwhile
			continue
		}
		require.NoError(t, err)
		out[o.Key] = b
	}
	return out
}

// put writes an object, over one that is there.
func (f *traffic) put(t *testing.T, name string, b []byte) {
	t.Helper()
	_, err := f.direct.PutObject(context.Background(), f.Bucket, name, bytes.NewReader(b), int64(len(b)), minio.PutObjectOptions{})
	require.NoError(t, err)
}

func (f *traffic) remove(t *testing.T, name string) {
	t.Helper()
	require.NoError(t, f.direct.RemoveObject(context.Background(), f.Bucket, name, minio.RemoveObjectOptions{}))
}

// The steps at which a node is killed, by the request that makes them.
var steps = []struct {
	name   string
	core   bool // it is in the short core
	orphan bool // it needs a block that was merged and not published
	match  func(*traffic, request) bool
}{
	{name: "publication: spans", match: cutPart(block.SpansObject)},
	{name: "publication: meta", match: cutPart(block.MetaObject)},
	{name: "publication: entry", core: true, match: entryOf(func(e *blocks.Entry) bool { return e.GetCutPublished() != nil })},
	{name: "merge: lease", match: entryOf(func(e *blocks.Entry) bool { return e.GetJobLeased() != nil })},
	{name: "merge: spans", match: mergedPart(block.SpansObject)},
	{name: "merge: meta", core: true, match: mergedPart(block.MetaObject)},
	{name: "merge: entry", core: true, match: entryOf(func(e *blocks.Entry) bool { return e.GetBlocksReplaced() != nil })},
	{name: "retention: entry", match: entryOf(func(e *blocks.Entry) bool { return e.GetBlocksRetired() != nil })},
	{name: "removal: meta", match: removed(block.MetaObject, true)},
	{name: "removal: spans", match: removed(block.SpansObject, true)},
	{name: "removal: entry", match: entryOf(func(e *blocks.Entry) bool { return e.GetForgotten() != nil })},
	{name: "sweep: list", match: func(_ *traffic, q request) bool { return q.method == http.MethodGet && q.name == "" && q.prefix == "" }},
	{name: "sweep: meta", core: true, orphan: true, match: removed(block.MetaObject, false)},
	{name: "sweep: spans", orphan: true, match: removed(block.SpansObject, false)},
}

func cutPart(object string) func(*traffic, request) bool {
	return func(f *traffic, q request) bool { return len(f.open) == 0 && q.isPart(http.MethodPut, object) }
}

// mergedPart matches an object of a merged block: no cut is under way while a lease is open.
func mergedPart(object string) func(*traffic, request) bool {
	return func(f *traffic, q request) bool { return len(f.open) > 0 && q.isPart(http.MethodPut, object) }
}

func entryOf(isKind func(*blocks.Entry) bool) func(*traffic, request) bool {
	return func(_ *traffic, q request) bool { return q.writes(isKind) }
}

// removed matches the removal of an object of a block that is retired, or of one that was never
// listed.
func removed(object string, retired bool) func(*traffic, request) bool {
	return func(f *traffic, q request) bool {
		n, ok := blockstore.ParseObjectName(q.name)
		return ok && q.isPart(http.MethodDelete, object) && f.gone[n.ID] == retired
	}
}
