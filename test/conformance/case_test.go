package conformance

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

var update = flag.Bool("update-pending", false, "write the failing cases into pending.txt")

// rules say how an answer is compared with the recorded one.
type rules struct {
	Compare    string
	Ordered    []string
	Ignore     []string
	Drop       []string
	DropValues []string `yaml:"drop_values"`
	Contains   string
	Lengths    map[string]int
	MayDiffer  any `yaml:"may_differ"`
}

type httpCase struct {
	Name, Profile, Target, Method, Path string
	Params, Headers                     map[string]string
	Body                                string
	BodyBase64                          string `yaml:"body_base64"`
	rules                               `yaml:",inline"`
	Answer                              struct {
		Status  int
		Headers map[string]string
		JSON    any
		Text    *string
		Base64  string
		Message string
		Empty   bool
		SameAs  string `yaml:"same_as"`
	}
}

type grpcCase struct {
	Name, Profile, Target, Method, Tenant string
	Request                               map[string]any
	rules                                 `yaml:",inline"`
	Answer                                struct {
		Code, Message string
		Final         any
		Details       any
		SameAs        string `yaml:"same_as"`
		SameFinal     string `yaml:"same_final"`
	}
}

// load reads a file of cases.
func load[C any](t *testing.T, name string) []C {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	require.NoError(t, err)
	var file struct{ Cases []C }
	require.NoError(t, yaml.Unmarshal(raw, &file))
	require.NotEmpty(t, file.Cases)
	return file.Cases
}

// base is the whole minute that all times of the cases are relative to, in unix seconds.
type base int64

var placeholder = regexp.MustCompile(`\$\{base(?:([+-]\d+)(s|ms|us|ns))?(?::(s|ms|us|ns|rfc3339))?\}`)

// fill renders the placeholders of the cases.
func (b base) fill(s string) string {
	return placeholder.ReplaceAllStringFunc(s, func(m string) string {
		g := placeholder.FindStringSubmatch(m)
		t := time.Unix(int64(b), 0)
		if g[1] != "" {
			n, _ := strconv.ParseInt(g[1], 10, 64)
			t = t.Add(time.Duration(n) * map[string]time.Duration{"s": time.Second, "ms": time.Millisecond, "us": time.Microsecond, "ns": 1}[g[2]])
		}
		switch g[3] {
		case "ns":
			return strconv.FormatInt(t.UnixNano(), 10)
		case "us":
			return strconv.FormatInt(t.UnixMicro(), 10)
		case "ms":
			return strconv.FormatInt(t.UnixMilli(), 10)
		case "rfc3339":
			return t.UTC().Format(time.RFC3339Nano)
		}
		return strconv.FormatInt(t.Unix(), 10)
	})
}

// fillAny renders placeholders in a decoded value; numbers become those of JSON.
func (b base) fillAny(v any) any {
	switch v := v.(type) {
	case string:
		return b.fill(v)
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = b.fillAny(v[i])
		}
		return out
	case map[string]any:
		out := map[string]any{}
		for k := range v {
			out[k] = b.fillAny(v[k])
		}
		return out
	case int:
		return float64(v)
	}
	return v
}

// fillRequest is fillAny for requests, where a value that is just a placeholder in seconds is a
// number.
func (b base) fillRequest(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k := range v {
			out[k] = b.fillRequest(v[k])
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = b.fillRequest(v[i])
		}
		return out
	case string:
		filled := b.fill(v)
		if n, err := strconv.ParseInt(filled, 10, 64); err == nil && placeholder.FindString(v) == v && !strings.Contains(v, ":") {
			return n
		}
		return filled
	}
	return v
}

// pending is the list of cases that are not expected to pass, with the reasons.
type pending struct {
	file    string
	reasons map[string]string
	order   []string
	failed  map[string]error // by name, over all stages
}

func readPending(t *testing.T, file string) *pending {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	p := &pending{file: file, reasons: map[string]string{}, failed: map[string]error{}}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		name, reason, _ := strings.Cut(lines.Text(), "#")
		if name = strings.TrimSpace(name); name != "" {
			p.reasons[name] = strings.TrimSpace(reason)
			p.order = append(p.order, name)
			require.True(t, *update || p.reasons[name] != "", "%s: %s has no reason", file, name)
		}
	}
	return p
}

// judge demands of the cases that ran what the list says: those that are not on it have passed in
// every stage, those that are have not.
func (p *pending) judge(t *testing.T, ran []string) {
	t.Helper()
	t.Logf("%d cases, %d do not pass", len(ran), len(p.failed))
	if *update {
		p.rewrite(t, ran)
		return
	}
	for _, name := range ran {
		err, failed := p.failed[name]
		_, listed := p.reasons[name]
		switch {
		case failed && !listed:
			t.Errorf("%s: %v", name, err)
		case !failed && listed:
			t.Errorf("%s passes now: take it out of %s", name, p.file)
		}
	}
}

// rewrite puts the cases that failed in the place of those that ran.
func (p *pending) rewrite(t *testing.T, ran []string) {
	t.Helper()
	var out strings.Builder
	line := func(name string) {
		reason := p.reasons[name]
		if reason == "" {
			reason = "?"
		}
		fmt.Fprintf(&out, "%-32s # %s\n", name, reason)
	}
	for _, name := range p.order {
		if !slices.Contains(ran, name) {
			line(name)
		}
	}
	for _, name := range ran {
		if _, failed := p.failed[name]; failed {
			line(name)
		}
	}
	require.NoError(t, os.WriteFile(p.file, []byte(out.String()), 0o644))
}
