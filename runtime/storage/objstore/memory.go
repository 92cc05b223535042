package objstore

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
)

// Memory is a bucket in memory for tests and simulations.
type Memory struct {
	mu      sync.Mutex
	objects map[string][]byte
}

// NewMemory makes an empty bucket.
func NewMemory() *Memory { return &Memory{objects: map[string][]byte{}} }

// checkCall returns the end of ctx or what is wrong with the name.
func checkCall(ctx context.Context, verb, name string) error {
	err := ctx.Err()
	if err == nil {
		err = CheckName(name)
	}
	if err != nil {
		return fmt.Errorf("%s object %s: %w", verb, name, err)
	}
	return nil
}

func (m *Memory) Create(ctx context.Context, name string, r io.Reader) (int64, error) {
	if err := checkCall(ctx, "create", name); err != nil {
		return 0, err
	}
	var b bytes.Buffer
	if _, err := copyTo(ctx, &b, r); err != nil {
		return 0, fmt.Errorf("create object %s: %w", name, err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.objects[name]; ok {
		return 0, fmt.Errorf("create object %s: %w", name, ErrExists)
	}
	m.objects[name] = b.Bytes()
	return int64(b.Len()), nil
}

func (m *Memory) findObject(ctx context.Context, name string) ([]byte, error) {
	if err := checkCall(ctx, "read", name); err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	b, ok := m.objects[name]
	if !ok {
		return nil, fmt.Errorf("read object %s: %w", name, ErrNotFound)
	}
	return b, nil
}

func (m *Memory) Read(ctx context.Context, name string, maxBytes int64) ([]byte, error) {
	b, err := m.findObject(ctx, name)
	if err != nil {
		return nil, err
	}
	if int64(len(b)) > maxBytes {
		return nil, tooLarge(name, int64(len(b)), maxBytes)
	}
	return bytes.Clone(b), nil
}

func tooLarge(name string, size, limit int64) error {
	return fmt.Errorf("read object %s of %d bytes, limit %d: %w", name, size, limit, ErrTooLarge)
}

func (m *Memory) ReadRange(ctx context.Context, name string, off int64, buf []byte) (int, error) {
	b, err := m.findObject(ctx, name)
	if err != nil {
		return 0, err
	}
	if off < 0 {
		return 0, fmt.Errorf("read object %s at %d: negative offset", name, off)
	}
	return copy(buf, b[min(off, int64(len(b))):]), nil
}

func (m *Memory) List(ctx context.Context, prefix string, f func(Info) error) error {
	m.mu.Lock()
	var out []Info
	for _, name := range slices.Sorted(maps.Keys(m.objects)) {
		if strings.HasPrefix(name, prefix) {
			out = append(out, Info{Name: name, Size: int64(len(m.objects[name]))})
		}
	}
	m.mu.Unlock()
	for _, o := range out {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := f(o); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (m *Memory) Delete(ctx context.Context, name string) error {
	if err := checkCall(ctx, "delete", name); err != nil {
		return err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, name)
	return nil
}

// Change replaces an object's bytes by those that f makes of them, as a decaying disk does. It does
// nothing if there is no such object.
func (m *Memory) Change(name string, f func([]byte) []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if b, ok := m.objects[name]; ok {
		m.objects[name] = f(bytes.Clone(b))
	}
}
