package main

import (
	"cmp"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/troupe-tracing/troupe/actors/backendscheduler"
	"github.com/troupe-tracing/troupe/actors/backendworker"
	"github.com/troupe-tracing/troupe/actors/blockbuilder"
	"github.com/troupe-tracing/troupe/actors/distributor"
	"github.com/troupe-tracing/troupe/actors/livestore"
	"github.com/troupe-tracing/troupe/actors/querier"
	"github.com/troupe-tracing/troupe/actors/queryfrontend"
	"github.com/troupe-tracing/troupe/runtime/config"
	"github.com/troupe-tracing/troupe/runtime/gateway/delivery"
	"github.com/troupe-tracing/troupe/runtime/gateway/ingress"
	"github.com/troupe-tracing/troupe/runtime/gateway/query"
	"github.com/troupe-tracing/troupe/runtime/kernel/heap"
	"github.com/troupe-tracing/troupe/runtime/kernel/system"
	"github.com/troupe-tracing/troupe/runtime/storage/objstore"
	"github.com/troupe-tracing/troupe/runtime/telemetry/refusals"
	"github.com/troupe-tracing/troupe/test/kit"
)

// generated compares a page of docs with what the code says. `make docs` writes the page.
func generated(t *testing.T, name, text string) {
	t.Helper()
	file := filepath.Join("../../docs", name)
	if kit.Rewrite() {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
		return
	}
	b, err := os.ReadFile(file)
	require.NoError(t, err)
	require.Equal(t, text, string(b), "docs/%s is not what the code says: run `make docs`", name)
}

// docs/config.md lists every key that a configuration file may have, with its default and the
// comment of its field.
func TestConfigPage(t *testing.T) {
	var out strings.Builder
	out.WriteString(`# Configuration

Nothing needs to be configured. A YAML file is read with ` + "`-config.file`" + `. Later sources win over earlier ones: the
defaults, the file, the environment (` + "`" + envPrefix + `SERVER__HTTP_LISTEN_PORT=3201` + "`" + `), and flags
(` + "`-set server.http_listen_port=3201`" + `, and those that ` + "`troupe -help`" + ` lists). Keys of Tempo that have no effect in
Troupe, or are not built yet, are accepted with a warning that says what follows. Any other unknown key keeps the
node from starting, and the message names its place. ` + "`-config.verify`" + ` reports everything that is wrong at once and
ends with a verdict. ` + "`make docs`" + ` writes this page from the code.

| key | default | meaning |
|---|---|---|
`)
	c := &comments{dirs: map[string]map[string]string{}}
	rows(t, c, &out, "", reflect.ValueOf(defaultConfig()))
	writeBudgets(&out)
	generated(t, "config.md", out.String())
}

// writeBudgets lists the keys that follow the size of the process, each with its share.
func writeBudgets(out *strings.Builder) {
	out.WriteString(`
## Memory

` + "`memory_limit`" + ` is the size that the process should have. The log says at the start which size is in force and where it
comes from, and the metric ` + "`troupe_memory_limit_bytes`" + ` does. Unless they are configured, these budgets follow it; their
defaults above are those of 384MiB. They are not all used up at a time: about half of the size is left for garbage
that is not collected yet.

| key | share of memory_limit | at most |
|---|---|---|
`)
	c := defaultConfig()
	for _, b := range c.budgets() {
		most := ""
		if !b.grows {
			most = b.bytes.String()
		}
		fmt.Fprintf(out, "| `%s` | %.3g %% | %s |\n", b.key, 100*float64(*b.bytes)/fullSize, most)
	}
}

func rows(t *testing.T, c *comments, out *strings.Builder, path string, v reflect.Value) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		tag, rest, _ := strings.Cut(f.Tag.Get("koanf"), ",")
		if tag == "-" || !f.IsExported() {
			continue
		}
		key := path + tag
		section := f.Type.Kind() == reflect.Struct
		if section && rest != "squash" {
			key += "."
		}
		if section {
			rows(t, c, out, key, v.Field(i))
			continue
		}
		require.NotEmpty(t, tag, "field %s below %q has no key", f.Name, path)
		fmt.Fprintf(out, "| `%s` | %s | %s |\n", key, value(key, v.Field(i)), c.of(t, v.Type(), f.Name))
	}
}

// value is a default as a file would have it: a size with its unit, and nothing if it is empty.
func value(key string, v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return x.String()
	case fmt.Stringer:
		return x.String()
	}
	if v.Kind() == reflect.Pointer && v.IsNil() || (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0 || v.Kind() == reflect.String && v.String() == "" {
		return ""
	}
	if size := strings.Contains(key, "bytes") || strings.HasSuffix(key, "_size"); size && v.CanInt() && v.Int() > 0 && v.Int()%1024 == 0 {
		return config.Bytes(v.Int()).String()
	}
	return fmt.Sprint(v.Interface())
}

// comments are the comments of struct fields, by folder of the package, type and field. Sections
// have named types: a nameless one would take the comment of any field of its name.
type comments struct{ dirs map[string]map[string]string }

func (c *comments) of(t *testing.T, typ reflect.Type, field string) string {
	dir := "."
	if p := typ.PkgPath(); p != "" && !strings.HasSuffix(p, "cmd/troupe") && p != "main" {
		dir = "../../" + strings.TrimPrefix(p, "github.com/troupe-tracing/troupe/")
	}
	if c.dirs[dir] == nil {
		c.dirs[dir] = map[string]string{}
		files, err := filepath.Glob(dir + "/*.go")
		require.NoError(t, err)
		for _, name := range files {
			f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.ParseComments)
			require.NoError(t, err)
			ast.Inspect(f, func(n ast.Node) bool {
				spec, ok := n.(*ast.TypeSpec)
				if !ok {
					return true
				}
				ast.Inspect(spec, func(n ast.Node) bool {
					if f, ok := n.(*ast.Field); ok {
						text := strings.Join(strings.Fields(cmp.Or(f.Comment.Text(), f.Doc.Text())), " ")
						for _, id := range f.Names {
							c.dirs[dir][spec.Name.Name+"."+id.Name] = text
						}
					}
					return true
				})
				return true
			})
		}
	}
	require.NotEmpty(t, typ.Name(), "the section with the field %s needs a named type", field)
	text := c.dirs[dir][typ.Name()+"."+field]
	assert.NotEmpty(t, text, "field %s of %s has no comment", field, typ)
	return strings.ReplaceAll(text, "|", "\\|")
}

// docs/metrics.md lists every instrument with its labels.
func TestMetricsPage(t *testing.T) {
	r := &recorder{}
	system.New(system.Options{Registerer: r})
	ingress.NewMetrics(r)
	query.NewMetrics(r)
	delivery.NewMetrics(r, func() int64 { return 0 })
	distributor.NewMetrics(r)
	refusals.New(r, nil)
	livestore.NewMetrics(r)
	blockbuilder.NewMetrics(r)
	backendscheduler.NewMetrics(r)
	backendworker.NewMetrics(r)
	querier.NewMetrics(r, func() int64 { return 0 })
	objstore.NewMetrics(r)
	queryfrontend.NewMetrics(r)
	r.MustRegister(logMetrics(nil)...)
	r.MustRegister(memoryMetric(heap.Size{}))
	slices.Sort(r.rows)
	generated(t, "metrics.md", `# Metrics

Served at `+"`/metrics`"+`, beside those of the Go runtime and the process. This page is made from the code by `+"`make docs`"+`.

| name | type | labels | meaning |
|---|---|---|---|
`+strings.Join(r.rows, ""))
}

// recorder is a registerer that notes what is registered.
type recorder struct{ rows []string }

var description = regexp.MustCompile(`^Desc\{fqName: "(.*?)", help: "(.*)", unit: ".*", constLabels: \{.*\}, variableLabels: \{(.*)\}\}$`)

func (r *recorder) Register(c prometheus.Collector) error {
	ch := make(chan *prometheus.Desc, 100)
	c.Describe(ch)
	close(ch)
	for d := range ch {
		m := description.FindStringSubmatch(d.String())
		if m == nil {
			return fmt.Errorf("read description %s", d)
		}
		labels := ""
		if m[3] != "" {
			labels = "`" + strings.ReplaceAll(m[3], ",", "`, `") + "`"
		}
		r.rows = append(r.rows, fmt.Sprintf("| `%s` | %s | %s | %s |\n", m[1], kindOf(c), labels, strings.ReplaceAll(m[2], `\"`, `"`)))
	}
	return nil
}

func kindOf(c prometheus.Collector) string {
	switch c.(type) {
	case *prometheus.CounterVec:
		return "counter"
	case *prometheus.HistogramVec, prometheus.Histogram:
		return "histogram"
	case *prometheus.GaugeVec:
		return "gauge"
	}
	if _, ok := c.(interface{ Set(float64) }); !ok {
		if _, ok := c.(prometheus.Counter); ok {
			return "counter"
		}
	}
	return "gauge"
}

func (r *recorder) MustRegister(cs ...prometheus.Collector) {
	for _, c := range cs {
		if err := r.Register(c); err != nil {
			panic(err)
		}
	}
}

func (r *recorder) Unregister(prometheus.Collector) bool { return false }
