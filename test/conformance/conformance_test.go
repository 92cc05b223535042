// Package conformance replays recorded requests against the running binary and compares the answers. The cases and their rules lie with the
// shared specification; pending.txt lists those that are not expected to pass yet, so that the list can only shrink.
package conformance

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"sort"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/troupe-tracing/troupe/test/kit"
)

var update = flag.Bool("update-pending", false, "write the failing cases into pending.txt")

type httpCase struct {
	Name, Profile, Target, Method, Path string
	Params, Headers                     map[string]string
	Body                                string
	BodyBase64                          string `yaml:"body_base64"`
	Compare                             string
	Ordered, Ignore, Drop               []string
	DropValues                          []string `yaml:"drop_values"`
	Contains                            string
	Lengths                             map[string]int
	MayDiffer                           any `yaml:"may_differ"`
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

// base is the whole minute that all times of the cases are relative to.
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

// fillAny renders placeholders in a decoded value.
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

// Recorded requests get the recorded answers.
func TestHTTP(t *testing.T) {
	spec := filepath.Join(kit.Shared(t), "spec", "conformance")
	raw, err := os.ReadFile(filepath.Join(spec, "http.yaml"))
	require.NoError(t, err)
	var file struct{ Cases []httpCase }
	require.NoError(t, yaml.Unmarshal(raw, &file))
	b := base((time.Now().Unix() - 240) / 60 * 60)
	n := kit.NewNode(t)
	n.Config = "stream_over_http_enabled: true\n"
	n.Start()
	input, err := os.ReadFile(filepath.Join(spec, "input.otlp.json"))
	require.NoError(t, err)
	code, body, err := n.Push(t.Context(), "application/json", []byte(b.fill(string(input))))
	require.NoError(t, err)
	require.Equal(t, 200, code, "%s", body)
	require.Eventually(t, func() bool {
		_, body := n.Get("/api/search", "q", "{}", "limit", "50", "start", fmt.Sprint(int64(b)-60), "end", fmt.Sprint(int64(b)+180))
		var found struct{ Traces []any }
		return json.Unmarshal(body, &found) == nil && len(found.Traces) == 8
	}, 2*time.Second, 20*time.Millisecond)

	pendingBytes, err := os.ReadFile("pending.txt")
	require.NoError(t, err)
	pending := strings.Fields(string(pendingBytes))
	byName := map[string]httpCase{}
	var failing []string
	ran := 0
	for _, c := range file.Cases {
		byName[c.Name] = c
		if c.Profile != "" && c.Profile != "default" || c.Target == "zipkin" || c.MayDiffer != nil {
			continue
		}
		ran++
		answer := c.Answer
		if answer.SameAs != "" {
			same := byName[answer.SameAs].Answer
			answer.JSON, answer.Text, answer.Base64, answer.Message, answer.Empty = same.JSON, same.Text, same.Base64, same.Message, same.Empty
		}
		c.Answer = answer
		if err := check(n, b, c); err != nil {
			failing = append(failing, c.Name)
			if !*update && !slices.Contains(pending, c.Name) {
				t.Errorf("%s: %v", c.Name, err)
			}
		} else if slices.Contains(pending, c.Name) && !*update {
			t.Errorf("%s passes now: take it out of pending.txt", c.Name)
		}
	}
	t.Logf("%d cases, %d pass, %d pending", ran, ran-len(failing), len(failing))
	if *update {
		require.NoError(t, os.WriteFile("pending.txt", []byte(strings.Join(failing, "\n")+"\n"), 0o644))
	}
}

func check(n *kit.Node, b base, c httpCase) error {
	host := n.HTTP
	if c.Target == "otlp_http" {
		host = n.OTLPHTTP
	}
	u := "http://" + host + b.fill(c.Path)
	if len(c.Params) > 0 {
		v := url.Values{}
		for k, p := range c.Params {
			v.Set(k, b.fill(p))
		}
		u += "?" + v.Encode()
	}
	body := []byte(b.fill(c.Body))
	if c.BodyBase64 != "" {
		body, _ = base64.StdEncoding.DecodeString(c.BodyBase64)
	}
	method := c.Method
	if method == "" {
		method = http.MethodGet
	}
	req, err := http.NewRequest(method, u, bytes.NewReader(body))
	if err != nil {
		return err
	}
	for k, v := range c.Headers {
		req.Header.Set(k, v)
	}
	client := http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableCompression: true},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if resp.StatusCode != c.Answer.Status {
		return fmt.Errorf("status %d, want %d: %.200s", resp.StatusCode, c.Answer.Status, got)
	}
	if c.Compare == "status-only" {
		return nil
	}
	for k, v := range c.Answer.Headers {
		if k == "etag" {
			continue
		}
		if g := resp.Header.Get(k); g != b.fill(v) {
			return fmt.Errorf("header %s is %q, want %q", k, g, v)
		}
	}
	switch {
	case c.Contains != "":
		if !strings.Contains(string(got), b.fill(c.Contains)) {
			return fmt.Errorf("body %.200q does not contain %q", got, c.Contains)
		}
	case c.Answer.Text != nil:
		if want := b.fill(*c.Answer.Text); string(got) != want {
			return fmt.Errorf("body %.300q, want %.300q", got, want)
		}
	case c.Answer.JSON != nil && c.Answer.Message == "" && resp.Header.Get("Content-Encoding") == "":
		var g any
		if err := json.Unmarshal(got, &g); err != nil {
			return fmt.Errorf("body is no JSON: %w: %.200s", err, got)
		}
		return compare(c, b.fillAny(c.Answer.JSON), g)
	case c.Answer.Empty && len(got) > 0:
		return fmt.Errorf("body %.200q, want none", got)
	}
	return nil
}

func compare(c httpCase, want, got any) error {
	drop := append([]string{}, c.Drop...)
	w, g := clean(want, drop, true), clean(got, append(drop, "spanSet"), true)
	if m, ok := w.(map[string]any); ok {
		gm, _ := g.(map[string]any)
		for _, k := range append(c.Ignore, "metrics") {
			if _, ok := m[k]; ok {
				if _, ok := gm[k]; !ok {
					return fmt.Errorf("key %s is missing", k)
				}
			}
			delete(m, k)
			delete(gm, k)
		}
		for _, k := range []string{"complete", "warnings", "watermark"} { // additive
			delete(gm, k)
		}
	}
	if c.Compare == "unordered" || c.Compare == "subset" {
		w, g = sorted(w, "", c.Ordered), sorted(g, "", c.Ordered)
	}
	if c.Compare == "subset" {
		return within(w, g, "")
	}
	return equal(w, g, "")
}

func clean(v any, drop []string, top bool) any {
	switch v := v.(type) {
	case map[string]any:
		for _, k := range drop {
			delete(v, k)
		}
		for k := range v {
			v[k] = clean(v[k], drop, false)
		}
	case []any:
		for i := range v {
			v[i] = clean(v[i], drop, false)
		}
	}
	return v
}

// sorted puts arrays of objects into one order, except those named as ordered.
func sorted(v any, name string, ordered []string) any {
	switch v := v.(type) {
	case map[string]any:
		for k := range v {
			v[k] = sorted(v[k], k, ordered)
		}
	case []any:
		for i := range v {
			v[i] = sorted(v[i], name, ordered)
		}
		if len(v) > 0 && !slices.Contains(ordered, name) && name != "values" {
			if _, ok := v[0].(map[string]any); ok || name == "tagValues" {
				sort.SliceStable(v, func(i, j int) bool { return text(v[i]) < text(v[j]) })
			}
		}
	}
	return v
}

func text(v any) string { b, _ := json.Marshal(v); return string(b) }

func equal(w, g any, at string) error {
	switch w := w.(type) {
	case map[string]any:
		gm, ok := g.(map[string]any)
		if !ok {
			return fmt.Errorf("%s: %.100s, want an object", at, text(g))
		}
		for k := range gm {
			if _, ok := w[k]; !ok {
				return fmt.Errorf("%s.%s: not wanted: %.100s", at, k, text(gm[k]))
			}
		}
		return within(w, g, at)
	case []any:
		ga, ok := g.([]any)
		if !ok || len(ga) != len(w) {
			return fmt.Errorf("%s: %.300s, want %.300s", at, text(g), text(w))
		}
		for i := range w {
			if err := equal(w[i], ga[i], fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
		return nil
	case float64:
		if gf, ok := g.(float64); ok && math.Abs(gf-w) <= 1e-9*math.Max(math.Abs(gf), math.Abs(w)) {
			return nil
		}
	}
	if !reflect.DeepEqual(w, g) {
		return fmt.Errorf("%s: %.100s, want %.100s", at, text(g), text(w))
	}
	return nil
}

// within demands that everything of w is in g.
func within(w, g any, at string) error {
	m, ok := w.(map[string]any)
	if !ok {
		return equal(w, g, at)
	}
	gm, _ := g.(map[string]any)
	for k := range m {
		gv, ok := gm[k]
		if !ok {
			return fmt.Errorf("%s.%s: missing, want %.100s", at, k, text(m[k]))
		}
		if err := equal(m[k], gv, at+"."+k); err != nil {
			return err
		}
	}
	return nil
}
