// Package cache keeps the most recently used values within a budget of bytes, and loads each
// missing value once.
package cache

import (
	"container/list"
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/singleflight"
)

// LRU is a cache of immutable values by name, within a budget of bytes. It is safe for concurrent
// use. A value larger than the whole budget is returned but not kept.
type LRU[V any] struct {
	mu     sync.Mutex
	budget int64
	used   int64
	items  map[string]*list.Element
	order  *list.List // front: most recently used
	flight singleflight.Group
}

type entry[V any] struct {
	name  string
	value V
	bytes int64
}

// New makes a cache of at most budget bytes, as the loaders count them.
func New[V any](budget int64) *LRU[V] {
	return &LRU[V]{budget: budget, items: map[string]*list.Element{}, order: list.New()}
}

// Get returns the value called name, and loads it if it is missing. Callers that ask for the same
// missing name at the same time share one load. load returns the value and its size in bytes; its
// errors are returned and not kept. When the ctx of the caller that loads ends, the callers that
// wait for it load again.
func (c *LRU[V]) Get(ctx context.Context, name string, load func(context.Context) (V, int64, error)) (V, error) {
	for {
		if v, ok := c.Peek(name); ok {
			return v, nil
		}
		v, err, _ := c.flight.Do(name, func() (any, error) {
			v, n, err := load(ctx)
			if err != nil {
				return nil, err
			}
			c.keepMissing(name, v, n)
			return v, nil
		})
		if err == nil {
			return v.(V), nil
		}
		var zero V
		ended := errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
		if ctx.Err() != nil || !ended {
			return zero, fmt.Errorf("load %s: %w", name, err)
		}
	}
}

// Peek returns the value if it is here and marks it as used.
func (c *LRU[V]) Peek(name string) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e, ok := c.items[name]
	if !ok {
		var zero V
		return zero, false
	}
	c.order.MoveToFront(e)
	return e.Value.(*entry[V]).value, true
}

// Put keeps a value of this size. It replaces the value that has the name.
func (c *LRU[V]) Put(name string, v V, bytes int64) {
	c.mu.Lock()
	if e, ok := c.items[name]; ok {
		c.removeItem(e)
	}
	c.mu.Unlock()
	c.keepMissing(name, v, bytes)
}

// Used returns the number of bytes held.
func (c *LRU[V]) Used() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used
}

// keepMissing keeps a value unless there is one of this name.
func (c *LRU[V]) keepMissing(name string, v V, bytes int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.items[name]; ok || bytes > c.budget {
		return
	}
	c.items[name] = c.order.PushFront(&entry[V]{name: name, value: v, bytes: bytes})
	c.used += bytes
	for c.used > c.budget {
		c.removeItem(c.order.Back())
	}
}

func (c *LRU[V]) removeItem(e *list.Element) {
	old := e.Value.(*entry[V])
	c.order.Remove(e)
	delete(c.items, old.name)
	c.used -= old.bytes
}
