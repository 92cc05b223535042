package corpus

import (
	"fmt"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// generateAgents makes traces of programs that call language models and tools, and what is unusual
// about them: long texts, lists of messages, deep recursion, very wide parents.
func generateAgents() []ptrace.Traces {
	g := newGenerator(6, time.Date(2025, 11, 3, 10, 0, 0, 1, time.UTC))
	agent := &resource{attributes: []attribute{{"service.name", "agent"}, {"service.version", "0.9"},
		{"telemetry.sdk.language", "python"}, {"deployment.labels", pairs{{"team", "search"}, {"tier", int64(2)},
			{"quota", pairs{{"tokens", int64(1 << 40)}, {"ratio", 0.25}}}}}}}
	tools := &resource{attributes: []attribute{{"service.name", "tools"}, {"service.build", []byte{0, 1, 0xfe, 0xff}}}}
	a := agents{g, agent, tools}
	var out []ptrace.Traces
	for n := range 30 {
		root := a.startTrace(agent, a.scopeNamed("example.agents", "1.0"), "invoke_agent planner",
			ptrace.SpanKindInternal,
			time.Duration(a.between(1, 40))*time.Second, time.Minute)
		root.state = fmt.Sprintf("vendor=%d,other=x", n)
		spans := []*span{root}
		switch {
		case n == 4:
			spans = a.addRecursion(spans, root, 300)
		case n == 5:
			spans = a.callTools(spans, root, 1500)
		default:
			spans = a.addTurns(spans, root, a.between(1, 8), []int{200, 2000, 64 << 10}[n%3])
		}
		out = append(out, encodeRequest(spans))
	}
	return out
}

type agents struct {
	*generator
	agent, tools *resource
}

// addTurns adds turns of a conversation: a model's answer and the tools that it asked for.
func (a agents) addTurns(spans []*span, root *span, turns, promptBytes int) []*span {
	var messages []pairs
	for turn := range turns {
		chat := a.startChild(root, a.agent, a.scopeNamed("example.llm", "0.40"), "chat large-model",
			ptrace.SpanKindClient)
		prompt := strings.Repeat(a.makeSentence(20)+"\n", promptBytes/100+1)
		messages = append(messages, pairs{{"role", "user"}, {"content", a.makeSentence(6)}})
		chat.attributes = []attribute{{"gen_ai.system", "example"}, {"gen_ai.operation.name", "chat"},
			{"gen_ai.request.model", "large-model"}, {"gen_ai.request.temperature", 0.7},
			{"gen_ai.usage.input_tokens", int64(len(prompt) / 4)},
			{"gen_ai.usage.output_tokens", int64(a.random.IntN(4000))},
			{"gen_ai.response.finish_reasons", []string{"tool_calls"}}, {"gen_ai.prompt", prompt},
			{"gen_ai.input.messages", append([]pairs(nil), messages...)}, {"gen_ai.stream", turn%2 == 0}}
		for i := range a.between(1, 12) {
			chat.events = append(chat.events, event{time.Duration(i) * time.Millisecond, "gen_ai.choice",
				[]attribute{{"index", int64(i)}, {"message", pairs{{"content", a.makeSentence(9)}}}}})
		}
		if len(spans) > 1 {
			chat.links = []link{{root.trace, spans[len(spans)-1].id, []attribute{{"reason", "previous turn"}}}}
		}
		spans = a.callTools(append(spans, chat), chat, a.between(0, 4))
	}
	return spans
}

// callTools adds a number of tool calls below one parent.
func (a agents) callTools(spans []*span, parent *span, count int) []*span {
	for i := range count {
		call := a.startChild(parent, a.tools, a.scopeNamed("example.tools", ""), "execute_tool",
			ptrace.SpanKindInternal)
		call.attributes = []attribute{{"gen_ai.tool.name", fmt.Sprintf("tool-%d", i%9)},
			{"gen_ai.tool.call.id", a.makeSentence(1)},
			{"gen_ai.tool.arguments", pairs{{"path", "/srv/" + a.makeSentence(1)}, {"lines", []string{"1", "2"}}}}}
		if a.chance(9) {
			call.status = status{ptrace.StatusCodeError, "tool failed: " + a.makeSentence(3)}
		}
		spans = append(spans, call)
	}
	return spans
}

// addRecursion adds agents that call agents.
func (a agents) addRecursion(spans []*span, parent *span, depth int) []*span {
	for range depth {
		parent = a.startChild(parent, a.agent, a.scopeNamed("example.agents", "1.0"), "invoke_agent worker",
			ptrace.SpanKindInternal)
		parent.attributes = []attribute{{"gen_ai.agent.name", "worker"}}
		spans = append(spans, parent)
	}
	return spans
}

// generateRawText makes spans whose texts are cut inside a rune or were never UTF-8.
func generateRawText() []ptrace.Traces {
	g := newGenerator(7, time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC))
	text := func() string {
		texts := []string{"\xff\xfe", "caf\xe9", "日本"[:4], "plain", "a\xc3", "\x80 " + g.makeSentence(3)}
		return texts[g.random.IntN(len(texts))]
	}
	var out []ptrace.Traces
	for n := range 20 {
		under := &resource{attributes: []attribute{{"service.name", "latin-\xe9"}, {"owner", text()}}}
		root := g.startTrace(under, g.scopeNamed("scope-\xff", text()), "GET /"+text(), ptrace.SpanKindServer,
			time.Second,
			time.Second)
		spans := []*span{root}
		for range n {
			s := g.startChild(root, under, root.scope, text(), ptrace.SpanKindInternal)
			s.status = status{ptrace.StatusCodeError, text()}
			s.state = text()
			s.attributes = []attribute{{"value", text()}, {"key-\xe9", int64(n)}, {"list", []string{text(), text()}},
				{"map", pairs{{"inner-\xff", text()}}}}
			s.events = []event{{time.Millisecond, text(), []attribute{{"note", text()}}}}
			spans = append(spans, s)
		}
		out = append(out, encodeRequest(spans))
	}
	return out
}
