package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
)

// maxAnswer bounds the bytes of an answer, and of one event of an answer that comes in pieces.
const maxAnswer = 256 << 20

// client holds what every command needs to reach a node.
type client struct {
	url      string // query API
	otlp     string // OTLP/HTTP endpoint
	operator string // operator's port
	tenant   string
	http     *http.Client
}

// endpointURL joins the address that a flag gave with a path. The address may lack its scheme, and
// its host before a port.
func endpointURL(flag, address, path string) (string, error) {
	full := strings.TrimSpace(address)
	if strings.HasPrefix(full, ":") {
		full = "127.0.0.1" + full
	}
	if !strings.Contains(full, "://") {
		full = "http://" + full
	}
	u, err := url.Parse(full)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.RawQuery != "" {
		return "", fmt.Errorf("--%s %q is no address: give for instance localhost:3200 or https://tempo.example.com",
			flag, address)
	}
	return strings.TrimRight(u.String(), "/") + path, nil
}

// newRequest makes a request to the query API.
func (c *client) newRequest(ctx context.Context, method, path string, v url.Values) (*http.Request, error) {
	at, err := endpointURL("url", c.url, path)
	if err != nil {
		return nil, err
	}
	if len(v) > 0 {
		at += "?" + v.Encode()
	}
	return http.NewRequestWithContext(ctx, method, at, nil)
}

// sendRequest sends a request with the tenant. Its errors tell a person what to do.
func (c *client) sendRequest(req *http.Request) (*http.Response, error) {
	if c.tenant != "" {
		req.Header.Set("X-Scope-OrgID", c.tenant)
	}
	resp, err := c.http.Do(req)
	var failed *url.Error
	switch {
	case err == nil:
		return resp, nil
	case errors.Is(err, context.Canceled):
		return nil, context.Canceled
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("nothing listens at %s: start Troupe with `make run`, "+
			"or name another place with --url, --otlp or --operator: %w", req.URL.Host, syscall.ECONNREFUSED)
	case errors.As(err, &failed) && failed.Timeout():
		return nil, fmt.Errorf("no answer from %s within %s: raise --timeout, or ask for less: %w", req.URL.Host,
			c.http.Timeout, failed.Err)
	case errors.As(err, &failed):
		return nil, fmt.Errorf("ask %s: %w", req.URL.Host, failed.Err)
	}
	return nil, err
}

// refusal is an answer whose status is not 2xx.
type refusal struct {
	status int
	text   string
}

func (r *refusal) Error() string {
	if r.text == "" {
		return fmt.Sprintf("%d %s", r.status, http.StatusText(r.status))
	}
	return r.text
}

// readAnswer reads the body of a successful answer. Any other answer becomes a *refusal.
func readAnswer(resp *http.Response) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	if err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	if len(b) > maxAnswer {
		return nil, fmt.Errorf("the answer has more than %d MiB: narrow the query, lower --limit, "+
			"or have a trace printed with --json", maxAnswer>>20)
	}
	if resp.StatusCode/100 != 2 {
		return nil, &refusal{resp.StatusCode, strings.TrimSpace(string(b))}
	}
	return b, nil
}

// fetchBody sends a request and returns the body of a successful answer.
func (c *client) fetchBody(req *http.Request) ([]byte, error) {
	resp, err := c.sendRequest(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return readAnswer(resp)
}

// askAPI asks the query API and returns the body of a successful answer. The text of any other
// answer is the error.
func (c *client) askAPI(ctx context.Context, path string, v url.Values) ([]byte, error) {
	req, err := c.newRequest(ctx, http.MethodGet, path, v)
	if err != nil {
		return nil, err
	}
	return c.fetchBody(req)
}

// followAPI is askAPI for an answer that arrives in pieces. progress is called with what is known
// so far. A backend that does not stream sends the whole answer at once.
func (c *client) followAPI(ctx context.Context, path string, v url.Values, progress func(body []byte)) ([]byte, error) {
	if progress == nil {
		return c.askAPI(ctx, path, v)
	}
	req, err := c.newRequest(ctx, http.MethodGet, path, v)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Accept", "text/event-stream, application/json")
	resp, err := c.sendRequest(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		return readEvents(resp.Body, progress)
	}
	return readAnswer(resp)
}

// readEvents reads server-sent events until the result or the error.
func readEvents(r io.Reader, progress func([]byte)) ([]byte, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxAnswer)
	event := ""
	for lines.Scan() {
		name, value, _ := bytes.Cut(lines.Bytes(), []byte(": "))
		switch string(name) {
		case "event":
			event = string(value)
		case "data":
			switch event {
			case "progress":
				progress(value)
			case "result":
				return bytes.Clone(value), nil
			case "error":
				return nil, errors.New(string(value))
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read the answer: %w", err)
	}
	return nil, errors.New("the answer ended before its result")
}
