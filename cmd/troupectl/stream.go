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
)

// ask asks the query API and returns the body of a good answer; the text of another is the error.
func (c *client) ask(ctx context.Context, path string, v url.Values) ([]byte, error) {
	return c.follow(ctx, path, v, nil)
}

// follow is ask for an answer that comes in pieces: progress is told what is known so far. From a backend that does not stream the answer comes at
// once.
func (c *client) follow(ctx context.Context, path string, v url.Values, progress func(body []byte)) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(c.url, "/")+path+"?"+v.Encode(), nil)
	if err != nil {
		return nil, err
	}
	if progress != nil {
		req.Header.Set("Accept", "text/event-stream, application/json")
	}
	resp, err := c.do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		return readEvents(resp.Body, progress)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s", strings.TrimSpace(string(b)))
	}
	return b, nil
}

const maxEvent = 256 << 20 // bytes of one event

// readEvents reads server-sent events until the result or the error.
func readEvents(r io.Reader, progress func([]byte)) ([]byte, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxEvent)
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
