package eval

import "slices"

// topK keeps, of all items added, the first ones in some order, which must be total: limit of them.
type topK[T any] struct {
	limit  int
	before func(a, b *T) bool
	heap   []T // the kept items, the last one in the order on top
}

// isFull reports whether limit items are kept. From then on only items before the last get in.
func (k *topK[T]) isFull() bool { return len(k.heap) >= k.limit }

// last returns the last of the kept items, of which there must be one.
func (k *topK[T]) last() *T { return &k.heap[0] }

// wouldKeep reports whether an item would be kept if it were added now.
func (k *topK[T]) wouldKeep(x *T) bool { return !k.isFull() || k.before(x, k.last()) }

// add keeps an item, in the place of the last one if limit items are kept, or drops it.
func (k *topK[T]) add(x T) {
	if !k.isFull() {
		k.heap = append(k.heap, x)
		for i := len(k.heap) - 1; i > 0; {
			up := (i - 1) / 2
			if !k.before(&k.heap[up], &k.heap[i]) {
				break
			}
			k.heap[up], k.heap[i] = k.heap[i], k.heap[up]
			i = up
		}
		return
	}
	if !k.before(&x, k.last()) {
		return
	}
	k.heap[0] = x
	for i := 0; ; {
		c := 2*i + 1
		if c >= len(k.heap) {
			return
		}
		if c+1 < len(k.heap) && k.before(&k.heap[c], &k.heap[c+1]) {
			c++
		}
		if !k.before(&k.heap[i], &k.heap[c]) {
			return
		}
		k.heap[i], k.heap[c] = k.heap[c], k.heap[i]
		i = c
	}
}

// sorted returns the kept items in order. No item may be added after it.
func (k *topK[T]) sorted() []T {
	slices.SortFunc(k.heap, func(a, b T) int {
		switch {
		case k.before(&a, &b):
			return -1
		case k.before(&b, &a):
			return 1
		}
		return 0
	})
	return k.heap
}
