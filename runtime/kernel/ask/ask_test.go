package ask_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/asynkron/protoactor-go/actor"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/runtime/kernel/ask"
	"github.com/troupe-tracing/troupe/runtime/kernel/sim"
	"github.com/troupe-tracing/troupe/runtime/kernel/status"
	"github.com/troupe-tracing/troupe/runtime/kernel/supervise"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
)

var background = context.Background()

// What the callee is asked: it replies the message's value, or nothing.
type (
	reply   struct{ with any }
	silence struct{}
)

// callee replies what it is told to reply, and keeps the contexts and askers of silent questions.
type callee struct {
	contexts []context.Context
	askers   []ask.Ref
}

func (a *callee) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case reply:
		c.Respond(m.with)
	case silence:
		a.contexts = append(a.contexts, ask.Context(c))
		a.askers = append(a.askers, c.Sender())
	case supervise.Drain:
		c.Respond(supervise.Drained{})
	}
}

// request has the caller send a Request on behalf of ctx.
type request struct {
	ctx context.Context
	ask.Request
}

// outcome is what came back to the caller.
type outcome struct {
	number int
	err    error
}

// caller expects a number in reply to every request.
type caller struct {
	directory ask.Directory
	outcomes  []outcome
}

func (a *caller) Receive(c actor.Context) {
	switch m := c.Message().(type) {
	case request:
		ask.Send(m.ctx, c, a.directory, m.Request, func(number int, err error) any {
			return outcome{number, err}
		})
	case outcome:
		a.outcomes = append(a.outcomes, m)
	case ask.Ref:
		ask.OnOver(c, m, outcome{number: -1})
	case supervise.Drain:
		c.Respond(supervise.Drained{})
	}
}

// pair is a caller and a callee in a simulated node.
type pair struct {
	world  *sim.World
	sys    *system.System
	callee *callee
	caller *caller
}

func newPair(t *testing.T) *pair {
	t.Helper()
	p := &pair{world: sim.New(1), callee: &callee{}}
	p.world.Report(t)
	p.sys = p.world.System()
	p.caller = &caller{directory: p.sys}
	require.NoError(t, p.sys.Start([]supervise.Kind{
		{Name: "callee", New: func(string) actor.Actor { return p.callee }},
		{Name: "caller", New: func(string) actor.Actor { return p.caller }},
	}, func(supervise.Kind) []string { return []string{""} }))
	return p
}

// tell has the caller handle a message, and lets everything happen that does not need time.
func (p *pair) tell(t *testing.T, msg any) {
	t.Helper()
	to, err := p.sys.Find("caller", "")
	require.NoError(t, err)
	p.sys.Actors().Root.Send(to, msg)
	p.world.Settle()
}

// send has the caller send a message to the callee with a timeout of a second.
func (p *pair) send(t *testing.T, ctx context.Context, msg any) {
	t.Helper()
	p.tell(t, request{ctx, ask.Request{Kind: "callee", Message: msg, Timeout: time.Second}})
}

// A reply arrives as the type that the asker expects. Another type is an Internal error, and an
// error that is replied is the error.
func TestSendDeliversTypedReplies(t *testing.T) {
	p := newPair(t)
	p.send(t, background, reply{7})
	p.send(t, background, reply{"seven"})
	p.send(t, background, reply{status.Errorf(status.Limited, "no more numbers")})
	require.Len(t, p.caller.outcomes, 3)
	require.Equal(t, outcome{number: 7}, p.caller.outcomes[0])
	require.EqualError(t, p.caller.outcomes[1].err, "unexpected reply string")
	require.Equal(t, status.Internal, status.Of(p.caller.outcomes[1].err).Class)
	require.EqualError(t, p.caller.outcomes[2].err, "no more numbers")
	require.Equal(t, status.Limited, status.Of(p.caller.outcomes[2].err).Class)
}

// An actor that the directory does not find is an Unavailable error on a later turn of the asker,
// like every other outcome.
func TestSendReportsActorNotFound(t *testing.T) {
	p := newPair(t)
	p.tell(t, request{background, ask.Request{Kind: "stranger", Key: "5", Message: silence{}, Timeout: time.Second}})
	require.Len(t, p.caller.outcomes, 1)
	require.EqualError(t, p.caller.outcomes[0].err, "find stranger 5: it does not run here")
	require.Equal(t, status.Unavailable, status.Of(p.caller.outcomes[0].err).Class)
}

// The timeout runs by the kernel's clock. The actor that is asked sees it as its deadline, and its
// end as the end of its context.
func TestSendTimesOut(t *testing.T) {
	p := newPair(t)
	p.send(t, background, silence{})
	deadline, ok := p.callee.contexts[0].Deadline()
	require.True(t, ok)
	require.Equal(t, time.Second, deadline.Sub(p.world.Now()))
	require.NoError(t, p.callee.contexts[0].Err())
	p.world.Advance(time.Second)
	require.Len(t, p.caller.outcomes, 1)
	require.EqualError(t, p.caller.outcomes[0].err, "ask node/callee: no answer within 1s")
	require.Equal(t, status.Timeout, status.Of(p.caller.outcomes[0].err).Class)
	require.Error(t, p.callee.contexts[0].Err())
}

// The actor that is asked sees the end and the earlier deadline of the client's context. A context
// that has ended before is answered without asking.
func TestSendFollowsTheClientsContext(t *testing.T) {
	p := newPair(t)
	soon := p.world.Now().Add(time.Millisecond)
	ctx, leave := context.WithCancel(ends{background, soon})
	p.send(t, ctx, silence{})
	deadline, _ := p.callee.contexts[0].Deadline()
	require.Equal(t, soon, deadline)
	leave()
	require.ErrorIs(t, p.callee.contexts[0].Err(), context.Canceled)

	p.send(t, ctx, silence{})
	require.Len(t, p.callee.contexts, 1, "the callee was not asked")
	require.Equal(t, status.Canceled, status.Of(p.caller.outcomes[0].err).Class)
}

// ends is a context that shows a deadline and does not end by itself.
type ends struct {
	context.Context
	at time.Time
}

func (e ends) Deadline() (time.Time, bool) { return e.at, true }

// When the asker fails, the actor that is asked sees the end of the question, and the asker's next
// incarnation never sees an answer.
func TestSendEndsWithTheAsker(t *testing.T) {
	p := newPair(t)
	p.send(t, background, silence{})
	to, err := p.sys.Find("caller", "")
	require.NoError(t, err)
	p.world.Kill(to)
	p.world.Advance(time.Minute)
	require.Error(t, p.callee.contexts[0].Err())
	require.Empty(t, p.caller.outcomes)
}

// Ask returns typed replies to code outside the actors. A question to an actor that fails before it
// has answered is Unavailable, and the end of the client's context is its own error.
func TestAskFromOutside(t *testing.T) {
	p := newPair(t)
	to, err := p.sys.Find("callee", "")
	require.NoError(t, err)
	number, err := ask.Ask[int](background, p.sys, to, reply{7})
	require.NoError(t, err)
	require.Equal(t, 7, number)
	_, err = ask.Ask[int](background, p.sys, to, reply{"seven"})
	require.EqualError(t, err, "unexpected reply string")
	_, err = ask.Ask[int](background, p.sys, nil, reply{7})
	require.Equal(t, status.Unavailable, status.Of(err).Class)

	var ended error
	ask.Begin(background, p.sys.Actors(), to, silence{}, func(_ any, err error) { ended = err })
	p.world.Settle()
	p.world.Kill(to)
	p.world.Settle()
	require.EqualError(t, ended, "ask callee: it ended before it answered")

	ctx, leave := context.WithCancel(background)
	leave()
	_, err = ask.Ask[int](ctx, p.sys, to, reply{7})
	require.ErrorIs(t, err, context.Canceled)
}

// Of several ends of a question only the first counts, and afterwards the question is over for the
// kernel, for its context and for whoever wants to hear of its end.
func TestQuestionEndsOnce(t *testing.T) {
	p := newPair(t)
	to, err := p.sys.Find("callee", "")
	require.NoError(t, err)
	var ends []error
	cancel := ask.Begin(background, p.sys.Actors(), to, silence{}, func(_ any, err error) { ends = append(ends, err) })
	p.world.Settle()
	asker := p.callee.askers[0]
	require.False(t, ask.Over(p.sys.Actors(), asker))
	p.tell(t, asker)
	require.Empty(t, p.caller.outcomes, "the question is not over")

	first := errors.New("the client has left")
	cancel(first)
	cancel(errors.New("again"))
	p.sys.Actors().Root.Send(asker, 7)
	p.world.Settle()
	require.Equal(t, []error{first}, ends)
	require.True(t, ask.Over(p.sys.Actors(), asker))
	require.Error(t, p.callee.contexts[0].Err())
	require.Equal(t, []outcome{{number: -1}}, p.caller.outcomes)
	p.tell(t, asker)
	require.Len(t, p.caller.outcomes, 2, "a question that is over already is over at once")
}
