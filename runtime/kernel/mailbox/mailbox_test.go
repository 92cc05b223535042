package mailbox

import (
	"testing"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"
)

// steps collects what a mailbox wants to run, to run it by hand.
type steps struct{ ready []func() }

func (s *steps) Schedule(f func()) { s.ready = append(s.ready, f) }
func (*steps) Throughput() int     { return 1 }
func (s *steps) step() {
	f := s.ready[0]
	s.ready = s.ready[1:]
	f()
}

type invoker struct {
	got    []any
	failed []any
}

func (i *invoker) InvokeSystemMessage(m any) { i.got = append(i.got, m) }
func (i *invoker) InvokeUserMessage(m any) {
	if m == "boom" {
		panic(m)
	}
	i.got = append(i.got, m)
}
func (i *invoker) EscalateFailure(reason, _ any) { i.failed = append(i.failed, reason) }

type own struct{ n int }

func (own) Exempt() {}

func box(limit int) (*Box, *steps, *invoker, *[]any) {
	var refused []any
	s, i := &steps{}, &invoker{}
	b := New(Limit{Messages: limit}, func(m any, _ bool) { refused = append(refused, m) })
	b.RegisterHandlers(i, s)
	return b, s, i, &refused
}

// Nothing runs before Start; then one message is handled a step, in order, those of the library
// first; a suspended mailbox keeps what it has.
func TestOrder(t *testing.T) {
	b, s, i, _ := box(0)
	for n := range 20 {
		b.PostUserMessage(n)
	}
	b.PostSystemMessage("started")
	require.Empty(t, s.ready)
	b.Start()
	s.step()
	s.step()
	require.Equal(t, []any{"started", 0}, i.got)
	b.PostSystemMessage(&actor.SuspendMailbox{})
	s.step()
	require.Empty(t, s.ready)
	require.Equal(t, 19, b.UserMessageCount())
	b.PostSystemMessage(&actor.ResumeMailbox{})
	for len(s.ready) > 0 {
		require.Len(t, s.ready, 1, "one step at a time")
		s.step()
	}
	require.Equal(t, 19, i.got[20])
}

// Over the limit a message is refused, but not one that its actor waits for; at the end all are.
func TestLimitAndClose(t *testing.T) {
	b, s, i, refused := box(2)
	b.Start()
	b.PostUserMessage(1)
	b.PostUserMessage(2)
	b.PostUserMessage(3)
	b.PostUserMessage(own{4})
	b.PostUserMessage(&actor.MessageEnvelope{Message: own{5}})
	require.Equal(t, []any{3}, *refused)
	s.step()
	b.Close()
	b.PostUserMessage(own{6})
	require.Equal(t, []any{1}, i.got)
	require.Len(t, *refused, 5)
	require.Zero(t, b.UserMessageCount())
}

// A panic and a crash go to the supervisor; after a Stop neither a crash nor a late Restart wakes
// the actor.
func TestFailures(t *testing.T) {
	b, s, i, _ := box(0)
	b.Start()
	b.PostUserMessage("boom")
	s.step()
	b.Crash("killed")
	s.step()
	require.Equal(t, []any{"boom", "killed"}, i.failed)
	stop := &actor.Stop{}
	b.PostSystemMessage(stop)
	b.PostSystemMessage(&actor.Restart{})
	b.Crash("killed")
	for len(s.ready) > 0 {
		s.step()
	}
	require.Equal(t, []any{stop}, i.got)
	require.Len(t, i.failed, 2)
}
