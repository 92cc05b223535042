package tempo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
)

// Block is a block of a bucket of Tempo's, as its meta.json describes it.
type Block struct {
	Format    string            `json:"format"`
	ID        string            `json:"blockID"`
	Tenant    string            `json:"tenantID"`
	Start     time.Time         `json:"startTime"`
	End       time.Time         `json:"endTime"`
	Traces    int64             `json:"totalObjects"`
	Size      int64             `json:"size"`
	Dedicated []DedicatedColumn `json:"dedicatedColumns"`
}

// DedicatedColumn is an attribute that has columns of its own in a block.
type DedicatedColumn struct {
	Scope   string   `json:"s"`
	Name    string   `json:"n"`
	Type    string   `json:"t"`
	Options []string `json:"o"`
}

// The objects of a block.
const (
	metaObject = "meta.json"
	dataObject = "data.parquet"
)

// maxMeta bounds a meta.json, in bytes.
const maxMeta = 16 << 20

// Refused is a block that cannot be imported, and why.
type Refused struct {
	Name string // <tenant>/<block>
	Err  error
}

// ListBlocks lists the live blocks of a bucket by tenant and start. Each block that cannot be read
// is refused. What has no format of Tempo's is not one of its blocks.
func ListBlocks(ctx context.Context, b objstore.Bucket) (list []Block, refused []Refused, err error) {
	err = b.List(ctx, "", func(o objstore.Info) error {
		parts := strings.Split(o.Name, "/")
		if len(parts) != 3 || parts[2] != metaObject {
			return nil
		}
		m, err := readMeta(ctx, b, o.Name)
		switch {
		case err != nil:
			refused = append(refused, Refused{parts[0] + "/" + parts[1], err})
		case m.Format == "": // a block of Troupe's, or of another program
		case m.Format != "vParquet4" && m.Format != "vParquet5":
			refused = append(refused, Refused{parts[0] + "/" + parts[1],
				fmt.Errorf("its format is %.40q; vParquet4 and vParquet5 are read", m.Format)})
		case m.ID != parts[1]:
			refused = append(refused, Refused{parts[0] + "/" + parts[1],
				fmt.Errorf("its meta.json is of block %.40q", m.ID)})
		default:
			m.Tenant = parts[0]
			list = append(list, *m)
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("list the blocks: %w", err)
	}
	slices.SortStableFunc(list, func(a, b Block) int {
		if c := strings.Compare(a.Tenant, b.Tenant); c != 0 {
			return c
		}
		return a.Start.Compare(b.Start)
	})
	return list, refused, nil
}

func readMeta(ctx context.Context, b objstore.Bucket, name string) (*Block, error) {
	raw, err := b.Read(ctx, name, maxMeta)
	if err != nil {
		return nil, err
	}
	return decodeMeta(raw)
}

func decodeMeta(raw []byte) (*Block, error) {
	var m Block
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, fmt.Errorf("read meta.json: %w", err)
	}
	for i := range m.Dedicated {
		if d := &m.Dedicated[i]; d.Scope == "" {
			d.Scope = string(ofSpan)
		}
		if d := &m.Dedicated[i]; d.Type == "" {
			d.Type = "string"
		}
	}
	return &m, nil
}

// Name returns <tenant>/<block>.
func (m *Block) Name() string { return m.Tenant + "/" + m.ID }

// Open opens the data of the block.
func (m *Block) Open(ctx context.Context, b objstore.Bucket, ignore []string) (*File, error) {
	o := &object{ctx: ctx, bucket: b, name: m.Name() + "/" + dataObject, size: m.Size}
	f, err := OpenFile(o, m.Size, m.Dedicated, ignore)
	if err != nil && o.err != nil {
		err = o.err
	}
	return f, err
}

// object is an object of a bucket as an io.ReaderAt.
type object struct {
	ctx    context.Context
	bucket objstore.Bucket
	name   string
	size   int64
	err    error // of the bucket
}

func (o *object) ReadAt(p []byte, off int64) (int, error) {
	n, err := o.bucket.ReadRange(o.ctx, o.name, off, p)
	switch {
	case errors.Is(err, objstore.ErrNotFound):
		o.err = fmt.Errorf("%s is gone", dataObject)
		return n, o.err
	case err != nil:
		o.err = err
		return n, err
	case n < len(p):
		return n, io.EOF
	}
	return n, nil
}
