package kit

import (
	"bufio"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

var rewrite = flag.Bool("rewrite", false,
	"write what the code says today into the files that tests compare with: "+
		"scripts of testdata, generated pages of docs")

// Rewrite reports whether tests write what they find into the files that they compare with.
func Rewrite() bool { return *rewrite }

// Event is one line of a script: a name and its key=value fields.
type Event struct {
	Name   string
	Fields map[string]string
}

// Int returns a number field, 0 where it is absent.
func (e Event) Int(t testing.TB, key string) int64 {
	t.Helper()
	if e.Fields[key] == "" {
		return 0
	}
	var n int64
	_, err := fmt.Sscan(e.Fields[key], &n)
	require.NoError(t, err, "field %s of %s", key, e.Name)
	return n
}

// Scripts runs every testdata/*.txt of the package under test. A script is a list of steps, each an
// event line, a line of four dashes, the lines it is answered with, and an empty line. Lines that
// begin with # are comments. run is made anew for every script.
func Scripts(t *testing.T, start func(t *testing.T) func(Event) []string) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txt")
	require.NoError(t, err)
	require.NotEmpty(t, files, "no scripts in testdata")
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) { script(t, f, start(t)) })
	}
}

func script(t *testing.T, name string, run func(Event) []string) {
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	var out strings.Builder
	var want []string
	var event *Event
	answering := false
	finish := func() {
		if event == nil {
			return
		}
		got := run(*event)
		if !*rewrite {
			require.Equal(t, strings.Join(want, "\n"), strings.Join(got, "\n"), "%s: after `%s`", name, event.Name)
		}
		fmt.Fprintln(&out, "----")
		for _, l := range got {
			fmt.Fprintln(&out, l)
		}
		event, want, answering = nil, nil, false
	}
	sc := bufio.NewScanner(strings.NewReader(string(b)))
	for sc.Scan() {
		line := sc.Text()
		switch {
		case line == "----":
			answering = true
		case strings.TrimSpace(line) == "":
			finish()
			fmt.Fprintln(&out)
		case answering:
			want = append(want, line)
		case strings.HasPrefix(line, "#"):
			fmt.Fprintln(&out, line)
		default:
			fmt.Fprintln(&out, line)
			fs := strings.Fields(line)
			event = &Event{Name: fs[0], Fields: map[string]string{}}
			for _, f := range fs[1:] {
				k, v, _ := strings.Cut(f, "=")
				event.Fields[k] = v
			}
		}
	}
	finish()
	if *rewrite {
		require.NoError(t, os.WriteFile(name, []byte(strings.TrimRight(out.String(), "\n")+"\n"), 0o644))
	}
}
