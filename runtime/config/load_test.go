package config

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

type section struct {
	Port  int           `koanf:"port"`
	Wait  time.Duration `koanf:"wait"`
	Names []string      `koanf:"names"`
	Size  Bytes         `koanf:"size"`
	Key   Secret        `koanf:"key"`
	Off   bool          `koanf:"off"`
}

func (s section) Validate() error { return nil }

type whole struct {
	Server section           `koanf:"server"`
	Labels map[string]string `koanf:"labels"`
	Shop   struct {
		section `koanf:"-"`
		Inner   `koanf:",squash"`
		Extra   string `koanf:"extra"`
	} `koanf:"shop"`
}

// Inner is embedded.
type Inner struct {
	Depth int `koanf:"depth"`
}

func (i Inner) Validate() error {
	if i.Depth < 0 {
		return errorf("depth: must not be negative")
	}
	return nil
}

type text string

func (e text) Error() string { return string(e) }
func errorf(s string) error  { return text(s) }

func defaults() *whole {
	w := &whole{Server: section{Port: 80, Wait: time.Second, Names: []string{"a", "b", "c"}}}
	w.Shop.Depth = 1
	return w
}

func load(t *testing.T, src Sources) (*whole, *Loaded) {
	t.Helper()
	w := defaults()
	l, err := Load(w, src)
	require.NoError(t, err)
	return w, l
}

// Later layers win: defaults, file, environment, flags.
func TestLayers(t *testing.T) {
	src := Sources{YAML: []byte("server:\n  port: 1\n  wait: 1d12h\n  names: [x]\n"), EnvPrefix: "APP_CFG_",
		Env:   []string{"APP_CFG_SERVER__PORT=2", "APP_CFG_SERVER__SIZE=2MiB", "OTHER=1", "APP_CFG_SHOP__DEPTH=7"},
		Flags: map[string]string{"server.port": "3", "shop.extra": "e"}}
	w, l := load(t, src)
	require.Equal(t, 3, w.Server.Port)
	require.Equal(t, 36*time.Hour, w.Server.Wait)
	require.Equal(t, []string{"x"}, w.Server.Names, "a list replaces the default")
	require.Equal(t, Bytes(2<<20), w.Server.Size)
	require.Equal(t, 7, w.Shop.Depth)
	require.Equal(t, "e", w.Shop.Extra)
	require.True(t, l.Given("server.port"))
	require.False(t, l.Given("server.off"))
}

// A section without content keeps its defaults.
func TestEmptySection(t *testing.T) {
	w, l := load(t, Sources{YAML: []byte("server:\nshop: {}\n")})
	require.Equal(t, 80, w.Server.Port)
	require.Equal(t, 1, w.Shop.Depth)
	require.True(t, l.Given("server"))
}

// Whatever cannot be right is told, all at once, with its path and line.
func TestProblemsAreNamed(t *testing.T) {
	_, err := Load(defaults(), Sources{File: "f.yaml", YAML: []byte("server:\n  prot: 1\n  wait: 30\n  off: 3x\nshop: {extr: 1}\n")})
	require.ErrorContains(t, err, "f.yaml:2: unknown key server.prot (is server.port meant?)")
	require.ErrorContains(t, err, "f.yaml:3: server.wait: want a duration such as 30s or 1h30m, found 30")
	require.ErrorContains(t, err, "f.yaml:4: server.off:")
	require.ErrorContains(t, err, "f.yaml:5: unknown key shop.extr")
	for in, want := range map[string]string{
		"server: {port: true}":              "server.port: want a int, found true",
		"server: {port: 1}\nserver: {}":     "already defined",
		"server: {port: 1, port: 2}":        "already defined",
		"server: [":                         "f.yaml",
		"Server: {port: 1}":                 "unknown key Server",
		"server: {size: 12 parsecs}":        "want a size",
		"server: {wait: 1000000000y}":       "too long",
		"server: 7":                         "server",
		"server: {names: {a: b, c: d}}\nx:": "unknown key x",
	} {
		_, err := Load(defaults(), Sources{File: "f.yaml", YAML: []byte(in)})
		require.ErrorContains(t, err, want, in)
	}
	_, err = Load(defaults(), Sources{EnvPrefix: "APP_", Env: []string{"APP_SERVER__PROT=1"}})
	require.ErrorContains(t, err, "server.prot")
}

// Variables are replaced in the text of the file, before it is read as YAML, as Tempo does: a
// variable may hold a whole section. What is not written ${...} stays as it is.
func TestExpand(t *testing.T) {
	src := Sources{File: "f.yaml", ExpandEnv: true, Env: []string{"PW=x#y", "PORT=9", "SECTION={wait: 2h, size: 3MiB}", "LINES=a: 1\nb: 2", "EMPTY="},
		YAML: []byte("server: {key: \"x${PW}\", port: ${PORT}, names: [\"${NONE:-n}\", \"$$5\", \"a$\", \"${PORT:-7}\"]}\nlabels: {a.b: \"$HOME\"}\n")}
	w, _ := load(t, src)
	require.Equal(t, "xx#y", w.Server.Key.Value())
	require.Equal(t, 9, w.Server.Port)
	require.Equal(t, []string{"n", "$5", "a$", "9"}, w.Server.Names)
	require.Equal(t, map[string]string{"a.b": "$HOME"}, w.Labels)

	for text, want := range map[string]func(*whole) bool{
		"server: ${SECTION}":                              func(w *whole) bool { return w.Server.Wait == 2*time.Hour && w.Server.Size == 3<<20 },
		"server: ${NONE:-{wait: 3h}}":                     func(w *whole) bool { return w.Server.Wait == 3*time.Hour },
		"server: ${NONE:-\n  wait: 4h\n  port: 5}":        func(w *whole) bool { return w.Server.Wait == 4*time.Hour && w.Server.Port == 5 },
		"server: ${EMPTY}\nlabels: {a: ${NONE:-${PORT}}}": func(w *whole) bool { return w.Server.Port == 80 && w.Labels["a"] == "9" },
		"${NONE:-labels}: {a: b}":                         func(w *whole) bool { return w.Labels["a"] == "b" },
		"labels: {a: ${PW:0:1}, b: ${PW/x/z}}":            func(w *whole) bool { return w.Labels["a"] == "x" && w.Labels["b"] == "z#y" },
		"# ${ in a comment\nserver: {port: 6}":            func(w *whole) bool { return w.Server.Port == 6 },
		"labels: {${LINES}}":                              nil, // two lines of block style inside braces are no YAML
	} {
		w := defaults()
		src.YAML = []byte(text)
		_, err := Load(w, src)
		require.Equal(t, want == nil, err != nil, "%s: %v", text, err)
		require.True(t, want == nil || want(w), "%s: %+v", text, w)
	}

	src.YAML, src.ExpandEnv = []byte("labels: {a: \"${X//a/b}\"}"), false
	w, _ = load(t, src)
	require.Equal(t, "${X//a/b}", w.Labels["a"])
}

// An error names the line of the file, also behind a variable of several lines, and never what a
// variable holds.
func TestExpansionKeepsLines(t *testing.T) {
	src := Sources{File: "f.yaml", ExpandEnv: true, Env: []string{"LINES=one: 1\n  two: hunter2\n  three: 3"}}
	for text, want := range map[string]string{
		"labels:\n  ${LINES}\nserver:\n  prot: 1":           "f.yaml:4: unknown key server.prot (is server.port meant?)",
		"labels:\n  ${LINES}\nserver: [":                    "f.yaml:3: ",
		"labels: {}\nserver: {port: ${LINES}}":              "f.yaml:2: ",
		"labels: {}\n\nserver: {port: ${A.b}}\n":            "f.yaml:3: expand variables: ",
		"labels: {}\nserver: {port: ${A:?must be set}}\n":   "f.yaml:2: expand variables: ${A:?",
		"labels: {}\nserver: {port: \"${LINES:0:-9}\"}\n":   "f.yaml:2: expand variables: ",
		"labels: {}\nserver: {port: ${A\nlabels: {}\n# end": "f.yaml:2: expand variables: ",
		"labels:\n  ${LINES}\nlabels: {}":                   "f.yaml:3: labels is already defined on line 1",
	} {
		src.YAML = []byte(text)
		_, err := Load(defaults(), src)
		require.ErrorContains(t, err, want, text)
		require.NotContains(t, err.Error(), "hunter2", text)
	}
}

// Keys of another program are accepted with a warning each, which has the cause, unless they are
// ours or turn off what is not there.
func TestForeign(t *testing.T) {
	w, l := load(t, Sources{YAML: []byte("ring: {a: 1, b: {c: 2, enabled: false}, off_enabled: true}\nserver: {tls: {x: 1}, port: 5}\nempty:\n"),
		Foreign: "# comment\n@one not built yet: rings\nring.** @one\nserver.tls.* use a proxy\nserver.port no\nempty.** @one\n"})
	require.Equal(t, []Warning{{"empty", "not built yet: rings"}, {"ring.a", "not built yet: rings"}, {"ring.b.c", "not built yet: rings"},
		{"ring.off_enabled", "not built yet: rings"}, {"server.tls.x", "use a proxy"}}, l.Warnings)
	require.Equal(t, 5, w.Server.Port)
	causes, keys := GroupWarnings(l.Warnings)
	require.Equal(t, []string{"not built yet: rings", "use a proxy"}, causes)
	require.Equal(t, []string{"server.tls.x"}, keys["use a proxy"])
	_, err := Load(defaults(), Sources{YAML: []byte("server: {tls: {x: {y: 1}}}\n"), Foreign: "server.tls.* no"})
	require.ErrorContains(t, err, "server.tls")
}

// What is wrong with the text of a file does not hide what is wrong with the rest, in the
// environment or on the command line.
func TestAllProblemsAtOnce(t *testing.T) {
	src := Sources{File: "f.yaml", EnvPrefix: "APP_CFG_", Env: []string{"APP_CFG_SERVER__WAIT=7"}, Flags: map[string]string{"server.size": "12 parsecs"}}
	for text, more := range map[string][]string{
		"server: {port: 1, port: 2, off: 3x}\nshop: {extr: 1}": {"f.yaml:1: server.port is already defined", "f.yaml:1: server.off", "f.yaml:2: unknown key shop.extr"},
		"server: [":       {"f.yaml:1: "},
		"- a":             {"f.yaml:1: it is no mapping"},
		"a: 1\n---\nb: 2": {"f.yaml:1: unknown key a", "second document"},
	} {
		src.YAML = []byte(text)
		w := defaults()
		_, err := Load(w, src)
		for _, want := range append(more, "APP_CFG_SERVER__WAIT in the environment: server.wait: want a duration", "on the command line: server.size: want a size") {
			require.ErrorContains(t, err, want, text)
		}
	}
	var cfg struct {
		Tenants map[string]struct {
			Rate int   `koanf:"rate"`
			All  []int `koanf:"all"`
		} `koanf:"tenants"`
	}
	_, err := Load(&cfg, Sources{File: "f.yaml", YAML: []byte("tenants:\n  a.b:\n    rate: x\n  c:\n    nonsense: 1\n    all:\n    - 1\n    - x\n")})
	for _, want := range []string{"f.yaml:3: tenants[a.b].rate", "f.yaml:5: unknown key tenants[c].nonsense", "f.yaml:6: tenants[c].all[1]"} {
		require.ErrorContains(t, err, want)
	}
	w := defaults()
	_, err = Load(w, Sources{YAML: []byte("labels: {1: a, true: b}\nserver: {port: x, off: true}")})
	require.ErrorContains(t, err, "server.port")
	require.True(t, w.Server.Off, "what can be read is read, so that more can be checked")
	require.Equal(t, map[string]string{"1": "a", "true": "b"}, w.Labels)
}

func TestValidate(t *testing.T) {
	w := defaults()
	require.NoError(t, Validate(w))
	w.Shop.Depth = -1
	require.EqualError(t, Validate(w), "shop.depth: must not be negative")
}

// What is printed holds every key and no secret, and the difference to the defaults only what is
// different.
func TestPrint(t *testing.T) {
	w := defaults()
	w.Server.Key, w.Server.Port = "hunter2", 81
	b, err := YAML(w)
	require.NoError(t, err)
	require.NotContains(t, string(b), "hunter2")
	require.Contains(t, string(b), "wait: 1s")
	d, err := Diff(w, defaults())
	require.NoError(t, err)
	require.Equal(t, map[string]any{"server": map[string]any{"port": 81, "key": Secret("hunter2")}}, d)
}

func FuzzLoad(f *testing.F) {
	f.Add([]byte("server: {port: 1}\nlabels: {a: b}\n"), true)
	for _, s := range []string{"a: ${A:0:-1}", "a: ${A:-${B:-${C}}}", "${A/x/y}", "a: &x {b: *x}", "a: {1: 2, ~: 3}", "a: 1\n---\n", "${A#?}", "x: ${#A}"} {
		f.Add([]byte(s), true)
	}
	f.Fuzz(func(t *testing.T, b []byte, expand bool) {
		_, _ = Load(defaults(), Sources{File: "f", YAML: b, ExpandEnv: expand, Foreign: "ring.** no", Env: []string{"A=value", "B=é"}})
	})
}

// A key of another program that has another name here is moved there, with what its stars stand
// for; where the file has both, the old name is refused.
func TestMovedKeys(t *testing.T) {
	foreign := Foreign("tenants.old -> tenants.all.new\ntenants.*.old -> tenants.*.new\n")
	load := func(text string) (map[string]map[string]int, error) {
		var cfg struct {
			Tenants map[string]map[string]int `koanf:"tenants"`
			Plain   struct {
				New int `koanf:"new"`
			} `koanf:"plain"`
		}
		_, err := Load(&cfg, Sources{File: "f", YAML: []byte(text), Foreign: foreign + "plain.old -> plain.new\n"})
		if cfg.Plain.New != 0 {
			cfg.Tenants = map[string]map[string]int{"plain": {"new": cfg.Plain.New}}
		}
		return cfg.Tenants, err
	}
	got, err := load("tenants: {old: 1, a.b: {old: 2, other: 3}}")
	require.NoError(t, err)
	require.Equal(t, map[string]map[string]int{"all": {"new": 1}, "a.b": {"new": 2, "other": 3}}, got)
	got, err = load("plain: {old: 4}")
	require.NoError(t, err)
	require.Equal(t, 4, got["plain"]["new"])
	_, err = load("plain: {old: 4, new: 5}")
	require.ErrorContains(t, err, "unknown key plain.old")
	_, err = load("plain: 4")
	require.Error(t, err)
}
