package main

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"
)

// everyCommand calls f with each command of troupectl's own and the words that lead to it.
func everyCommand(f func(cmd *cobra.Command, words []string)) {
	var walk func(cmd *cobra.Command, words []string)
	walk = func(cmd *cobra.Command, words []string) {
		f(cmd, words)
		for _, sub := range cmd.Commands() {
			if sub.Name() != "help" && sub.Name() != "completion" {
				walk(sub, append(words[:len(words):len(words)], sub.Name()))
			}
		}
	}
	walk(newRoot(), nil)
}

// Each command has help with an example that uses flags that it has; unknown commands, flags and
// arguments exit 1.
func TestEveryCommand(t *testing.T) {
	everyCommand(func(cmd *cobra.Command, words []string) {
		run := func(args ...string) (string, string, int) {
			var out, errs bytes.Buffer
			code := execute(t.Context(), append(words[:len(words):len(words)], args...), &out, &errs)
			return out.String(), errs.String(), code
		}
		out, errs, code := run("--help")
		require.Zero(t, code, errs)
		require.Empty(t, errs)
		require.Contains(t, out, "Examples:\n  troupectl", "%v", words)
		for _, line := range strings.Split(out, "\n") {
			require.LessOrEqual(t, len([]rune(line)), helpWidth, "%v: %s", words, line)
		}
		for _, word := range strings.Fields(cmd.Example) {
			if name, ok := strings.CutPrefix(word, "--"); ok {
				name, _, _ = strings.Cut(name, "=")
				require.NotNil(t, findFlag(newRoot(), words, name), "%v: the example has --%s", words, name)
			}
		}
		_, errs, code = run("--no-such-flag")
		require.Equal(t, 1, code, "%v", words)
		require.Contains(t, errs, "unknown flag")
		if cmd.HasSubCommands() {
			_, errs, code = run("no-such-command")
			require.Equal(t, 1, code, "%v", words)
			require.Contains(t, errs, `unknown command "no-such-command"`)
		} else if cmd.Flags().Lookup("json") == nil {
			require.Equal(t, "queries cancel", strings.Join(words, " "), "every other command has --json")
		}
	})
	for _, args := range [][]string{{"help", "nonsense"}, {"completion", "nonsense"}, {"help", "blocks", "nonsense"}} {
		r := runAt(t, t.Context(), recorded(nil), args...)
		require.Equal(t, 1, r.code, "%v", args)
		require.Contains(t, r.errs, "nonsense")
	}
	for _, args := range [][]string{{}, {"help"}, {"help", "search"}, {"completion", "bash"}, {"blocks"}} {
		require.Zero(t, runAt(t, t.Context(), recorded(nil), args...).code, "%v", args)
	}
	r := runAt(t, t.Context(), recorded(nil), "serach", "{}")
	require.Contains(t, r.errs, `did you mean "search"?`)
	r = runAt(t, t.Context(), recorded(nil), "version")
	require.Regexp(t, `^troupectl, version \S+ \(revision \S+\)\n  go version: go`, r.out)
}

// findFlag looks a flag of a command, or of any command, up: examples combine commands by pipes.
func findFlag(root *cobra.Command, words []string, name string) any {
	var found any
	everyCommand(func(cmd *cobra.Command, _ []string) {
		if f := cmd.Flags().Lookup(name); f != nil {
			found = f
		}
		if f := cmd.PersistentFlags().Lookup(name); f != nil {
			found = f
		}
	})
	return found
}

func TestPeriod(t *testing.T) {
	const day = 24 * time.Hour
	for in, want := range map[string]time.Duration{"90s": 90 * time.Second, "2d": 2 * day, "1w": 7 * day, "1w2d12h": 9*day + 12*time.Hour,
		"1.5d": 36 * time.Hour, "1d1ms": day + time.Millisecond, "1h30m": 90 * time.Minute} {
		got, err := parsePeriod(in)
		require.NoError(t, err, in)
		require.Equal(t, want, got)
	}
	for _, in := range []string{"", "0", "0s", "0d", "-1h", "2", "d", "2d2d3", "1y", "9999999999w", "NaNd", "1e3d", "2 d"} {
		_, err := parsePeriod(in)
		require.Error(t, err, in)
	}
	var start string
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		start = r.URL.Query().Get("start")
		fmt.Fprint(w, `{"traces":[]}`)
	})
	r := runAt(t, t.Context(), h, "search", "{}", "--since", "2d")
	require.Zero(t, r.code, r.errs)
	require.InDelta(t, time.Now().Add(-2*day).Unix(), mustParseInt(t, start), 60)
}

func mustParseInt(t *testing.T, s string) (n int64) {
	_, err := fmt.Sscan(s, &n)
	require.NoError(t, err)
	return n
}

func TestEndpoint(t *testing.T) {
	for in, want := range map[string]string{"localhost:3200": "http://localhost:3200/p", "tempo.example.com": "http://tempo.example.com/p",
		":3200": "http://127.0.0.1:3200/p", "https://h/tempo/": "https://h/tempo/p", "[::1]:3200": "http://[::1]:3200/p", " h:1 ": "http://h:1/p",
		"http://h:1//": "http://h:1/p"} {
		got, err := endpointURL("url", in, "/p")
		require.NoError(t, err, in)
		require.Equal(t, want, got)
	}
	for _, in := range []string{"", "ftp://h", "http://", "h:1?x=y", "a b", "http://h:port"} {
		_, err := endpointURL("url", in, "/p")
		require.ErrorContains(t, err, "is no address", in)
	}
}

// Colours come with --color and where the output is a terminal, but not with NO_COLOR.
func TestColor(t *testing.T) {
	colored := func(args ...string) bool {
		r := runAt(t, t.Context(), recorded(nil), append(args, asking["search"]...)...)
		require.Zero(t, r.code, r.errs)
		return strings.Contains(r.out, "\x1b[")
	}
	require.False(t, colored(), "no terminal")
	require.True(t, colored("--color", "always"))
	require.True(t, colored("--color=always"))
	require.False(t, colored("--color=never"))
	t.Setenv("NO_COLOR", "1")
	require.True(t, colored("--color=always"), "asked for")
	r := runAt(t, t.Context(), recorded(nil), append([]string{"--color=blue"}, asking["search"]...)...)
	require.Equal(t, 1, r.code)
	require.Contains(t, r.errs, "auto, always or never")
}

// A command that is interrupted exits 130; tail, which has no other end, exits 0.
func TestInterrupted(t *testing.T) {
	for want, args := range map[int][]string{exitInterrupted: {"search", "{}"}, exitDone: {"tail"}} {
		ctx, stop := context.WithCancel(t.Context())
		r := runAt(t, ctx, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			stop()
			<-r.Context().Done()
		}), args...)
		require.Equal(t, want, r.code, "%v: %s", args, r.errs)
	}
}

// tail prints the traces that events tell of, each once, and goes on where a stream ends.
func TestTailFollowsEvents(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	n := 0
	r := runAt(t, ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		require.Equal(t, "/api/tail", r.URL.Path)
		require.Equal(t, "1m0s", r.URL.Query().Get("since"))
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "event: ping\ndata: {}\n\n")
		if n++; n == 3 {
			stop()
			return
		}
		fmt.Fprintf(w, "event: traces\ndata: {\"dropped\":%d,\"traces\":[{\"traceID\":\"a\"},{\"traceID\":\"b%d\"}],"+
			"\"warnings\":[\"block c: lost\"]}\n\n", n, n)
	}), "tail", "--every", "100ms", "--json")
	require.Zero(t, r.code)
	require.Equal(t, "{\"traceID\":\"a\"}\n{\"traceID\":\"b1\"}\n{\"traceID\":\"b2\"}\n", r.out)
	require.Contains(t, r.errs, "1 traces are left out")
	require.Contains(t, r.errs, "block c: lost")
}

// tail waits for a node that restarts, says so once, and ends where its query is refused for good.
func TestTailWaits(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	n := 0
	answers := recorded(nil)
	r := runAt(t, ctx, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/tail" {
			http.NotFound(w, r) // as any backend that sends no events
			return
		}
		switch n++; {
		case n == 2 || n == 3:
			http.Error(w, "starting", http.StatusServiceUnavailable)
		case n == 4:
			stop()
		default:
			answers(w, r)
		}
	}), "tail", "--every", "100ms", "--json")
	require.Zero(t, r.code)
	require.Equal(t, 1, strings.Count(r.errs, "starting; trying again"), r.errs)
	require.Equal(t, 8, strings.Count(r.out, "\n"), "each trace once, one a line")
	r = runAt(t, t.Context(), http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "no", http.StatusBadRequest) }), "tail")
	require.Equal(t, 1, r.code)
}
