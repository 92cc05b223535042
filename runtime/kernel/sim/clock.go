package sim

import (
	"container/heap"
	"slices"
	"time"

	"github.com/troupe-tracing/troupe/runtime/kernel/clock"
)

type simClock struct {
	n    *Node
	life int
}

func (c simClock) Now() time.Time { return c.n.w.now }

func (c simClock) AfterFunc(d time.Duration, f func()) clock.Timer {
	w := c.n.w
	w.next++
	t := &timer{node: c.n, life: c.life, at: w.now.Add(max(d, 0)), seq: w.next, f: f}
	if c.life == c.n.life {
		heap.Push(&w.due, t)
	}
	return t
}

type timer struct {
	node *Node
	life int
	at   time.Time
	seq  int
	pos  int   // in the heap; -1 outside
	s    *step // once it is due
	done bool
	f    func()
}

// Stop takes the timer back, even when it is due, unless its step was taken.
func (t *timer) Stop() bool {
	if t.done || t.life != t.node.life {
		return false
	}
	t.done = true
	w := t.node.w
	if t.s != nil {
		w.ready = slices.DeleteFunc(w.ready, func(s *step) bool { return s == t.s })
	} else {
		heap.Remove(&w.due, t.pos)
	}
	return true
}

// timers is a heap by time and then by number.
type timers []*timer

func (h timers) Len() int { return len(h) }
func (h timers) Less(i, j int) bool {
	return h[i].at.Before(h[j].at) || h[i].at.Equal(h[j].at) && h[i].seq < h[j].seq
}
func (h timers) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].pos, h[j].pos = i, j
}
func (h *timers) Push(x any) {
	t := x.(*timer)
	t.pos = len(*h)
	*h = append(*h, t)
}
func (h *timers) Pop() any {
	old := *h
	t := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	t.pos = -1
	return t
}
