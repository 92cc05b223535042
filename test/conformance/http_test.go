package conformance

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"

	_ "github.com/troupe-tracing/troupe/messages/api"
	"github.com/troupe-tracing/troupe/test/kit"
)

var _ = (*errdetails.RetryInfo)(nil) // known to the registry, so that details of a Status can be printed

var client = http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{DisableCompression: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

func (p profiles) head(n *kit.Node, tenant, path string) (int, error) {
	req, err := http.NewRequest(http.MethodGet, "http://"+n.HTTP+path, nil)
	if err != nil {
		return 0, err
	}
	if tenant != "" {
		req.Header.Set("X-Scope-OrgID", tenant)
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	return resp.StatusCode, err
}

// Recorded requests over HTTP get the recorded answers, from live data and from blocks.
func TestHTTP(t *testing.T) {
	cases := load[httpCase](t, "http.yaml")
	p := start(t)
	list := readPending(t, "pending.txt")
	byName := map[string]*httpCase{}
	var ran []string
	for i := range cases {
		c := &cases[i]
		byName[c.Name] = c
		ran = append(ran, c.Name)
		if c.Answer.SameAs != "" {
			same := byName[c.Answer.SameAs].Answer
			c.Answer.JSON, c.Answer.Text, c.Answer.Base64, c.Answer.Empty = same.JSON, same.Text, same.Base64, same.Empty
		}
	}
	p.stages(t, func(stage string) {
		etag := "0"
		for i := range cases {
			c := &cases[i]
			err := p.http(c, &etag)
			switch {
			case err != nil && c.MayDiffer != nil:
				t.Logf("%s, %s: differs, and may: %v: %v", stage, c.Name, c.MayDiffer, err)
			case err != nil:
				list.failed[c.Name] = fmt.Errorf("%s: %w", stage, err)
			}
		}
		p.checkUnchanged(t, stage, byName["search-all"])
	})
	list.judge(t, ran)
}

// checkUnchanged fails where a case has left spans behind in the data that the other cases read:
// their answers would be wrong for no reason of theirs.
func (p profiles) checkUnchanged(t *testing.T, stage string, searchAll *httpCase) {
	t.Helper()
	require.NotNil(t, searchAll)
	etag := "0"
	if err := p.http(searchAll, &etag); err != nil {
		t.Errorf("%s: after all cases the data is not what was sent at the start; a case whose spans are kept needs a tenant of its own: %v", stage, err)
	}
}

func (p profiles) http(c *httpCase, etag *string) error {
	profile := c.Profile
	if profile == "" {
		profile = "default"
	}
	n := p.nodes[profile]
	host := n.HTTP
	if c.Target == "otlp_http" {
		host = n.OTLPHTTP
	}
	if c.Target == "zipkin" {
		host = n.Zipkin
	}
	fill := func(s string) string { return strings.ReplaceAll(p.base.fill(s), "${etag}", *etag) }
	u := "http://" + host + fill(c.Path)
	if len(c.Params) > 0 {
		v := url.Values{}
		for k, s := range c.Params {
			v.Set(k, fill(s))
		}
		u += "?" + v.Encode()
	}
	body := []byte(fill(c.Body))
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
		req.Header.Set(k, fill(v))
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	if e := resp.Header.Get("Etag"); e != "" {
		*etag = e
	}
	if resp.StatusCode != c.Answer.Status {
		return fmt.Errorf("status %d, want %d: %.200s", resp.StatusCode, c.Answer.Status, got)
	}
	for k, v := range c.Answer.Headers {
		g := resp.Header.Get(k)
		if k == "etag" && g == "" || k != "etag" && g != fill(v) {
			return fmt.Errorf("header %s is %q, want %q", k, g, fill(v))
		}
	}
	if resp.Header.Get("Content-Encoding") == "gzip" {
		z, err := gzip.NewReader(bytes.NewReader(got))
		if err != nil {
			return err
		}
		if got, err = io.ReadAll(z); err != nil {
			return err
		}
	}
	return p.body(c, resp.Header.Get("Content-Type"), got)
}

// body compares the body of an answer. The recorded one may be that of a case in another form: the
// forms hold the same.
func (p profiles) body(c *httpCase, contentType string, got []byte) error {
	switch {
	case c.Contains != "" && c.Answer.JSON == nil:
		if !strings.Contains(string(got), p.base.fill(c.Contains)) {
			return fmt.Errorf("body %.300q does not contain %q", got, c.Contains)
		}
	case c.Compare == "status-only" && len(c.Lengths) == 0:
	case c.Answer.Text != nil:
		if want := p.base.fill(*c.Answer.Text); string(got) != want {
			return fmt.Errorf("body %.300q, want %.300q", got, want)
		}
	case c.Answer.JSON != nil || len(c.Lengths) > 0:
		if strings.Contains(contentType, "protobuf") {
			var err error
			if got, err = messageJSON(c.Answer.Message, got); err != nil {
				return err
			}
		}
		var g any
		if err := json.Unmarshal(got, &g); err != nil {
			return fmt.Errorf("body is no JSON: %w: %.200s", err, got)
		}
		want := p.base.fillAny(c.Answer.JSON)
		if c.Contains != "" {
			m, _ := g.(map[string]any)
			if s, _ := m["message"].(string); !strings.Contains(s, p.base.fill(c.Contains)) {
				return fmt.Errorf("message %q does not contain %q", s, c.Contains)
			}
			if w, ok := want.(map[string]any); ok {
				delete(w, "message")
			}
			delete(m, "message")
		}
		return compareJSON(&c.rules, want, g)
	case c.Answer.Base64 != "":
		if want, _ := base64.StdEncoding.DecodeString(c.Answer.Base64); !bytes.Equal(want, got) {
			return fmt.Errorf("body %x, want %x", got, want)
		}
	case c.Answer.Empty && len(got) > 0:
		return fmt.Errorf("body %.200q, want none", got)
	}
	return nil
}

// messageJSON prints a protobuf body as JSON; of the lists that are always there in JSON answers,
// those that are empty are absent.
func messageJSON(name string, b []byte) ([]byte, error) {
	if name == "Status" {
		name = "google.rpc.Status"
		_ = rpcstatus.Status{}
	}
	if !strings.Contains(name, ".") {
		name = "tempopb." + name
	}
	mt, err := protoregistry.GlobalTypes.FindMessageByName(protoreflect.FullName(name))
	if err != nil {
		return nil, fmt.Errorf("message %s: %w", name, err)
	}
	m := mt.New().Interface()
	if err := proto.Unmarshal(b, m); err != nil {
		return nil, fmt.Errorf("body is no %s: %w", name, err)
	}
	return protojson.Marshal(m)
}

// emptyLists are absent where lists cannot be told from nothing.
func withoutEmptyLists(v any) any {
	m, ok := v.(map[string]any)
	if !ok {
		return v
	}
	for _, k := range slices.Collect(keys(m)) {
		if l, ok := m[k].([]any); ok && len(l) == 0 {
			delete(m, k)
		}
	}
	return m
}

func keys(m map[string]any) func(func(string) bool) {
	return func(yield func(string) bool) {
		for k := range m {
			if !yield(k) {
				return
			}
		}
	}
}
