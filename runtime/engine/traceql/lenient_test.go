package traceql

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// What a user has typed so far filters by the conditions that are complete.
func TestParseFilter(t *testing.T) {
	for q, want := range map[string]string{
		`{ span.a = 1 }`: `{ span.a = 1 }`,
		`{ resource.service.name = "db" && span.http.status = `: "{ resource.service.name = `db` && true }",
		`{ span.a = && span.b = 2 }`:                            `{ true && span.b = 2 }`,
		`{ span.a =~ && span.b != }`:                            `{ true && true }`,
		`{ (span.a = 1 || span.b = `:                            `{ span.a = 1 || true }`,
		`{ span.a = 1 && (span.b = 2 || span.c`:                 `{ span.a = 1 && (span.b = 2 || true) }`,
		`{ span.a = "x && y" && span.b`:                         "{ span.a = `x && y` && true }",
		`{ !(span.a = 1 && span.b = `:                           `{ !(span.a = 1 && true) }`,
		`{ status = error } | rate()`:                           `{ status = error }`,
		`{ status = error } | count() > 1`:                      `{ status = error }`,
		`{ resource.service.name = "mailer" && span.`:           ``,
		`{ span.a = 1 && }`:                                     ``,
		`{ span.a = "not closed`:                                ``,
		`{ span.a = `:                                           ``,
		`{ status = error } >> {}`:                              ``,
		`{ span.a = 1 } && { span.b = 1 }`:                      ``,
		`{ .a = 1 && span.b = 2 }`:                              ``,
		`{}`:                                                    ``,
		``:                                                      ``,
		`{`:                                                     ``,
		`junk`:                                                  ``,
		`{ span.a + (1 > 2 && span.b = 1 }`:                     ``,
	} {
		f := ParseFilter(q)
		if want == "" {
			require.Nil(t, f, "%s: %s", q, f)
			continue
		}
		require.NotNil(t, f, q)
		again, err := Parse(want)
		require.NoError(t, err, want)
		require.Equal(t, again.String(), f.String(), q)
	}
}

// Values of a field are not filtered by the condition on it that is being typed, except where it
// names the value.
func TestWithoutField(t *testing.T) {
	f, err := ParseField("name")
	require.NoError(t, err)
	for q, want := range map[string]string{
		`{ name =~ "step [12]" }`:           ``,
		`{ name =~ "a" && status = error }`: `{ true && status = error }`,
		`{ name = "a" }`:                    `{ name = "a" }`,
		`{ name != "a" || span.b = 1 }`:     `{ true || span.b = 1 }`,
	} {
		got := WithoutField(ParseFilter(q), f)
		if want == "" {
			require.Nil(t, got)
			continue
		}
		again, err := Parse(want)
		require.NoError(t, err)
		require.Equal(t, again.String(), got.String())
	}
	require.Nil(t, WithoutField(nil, f))
}

// Tags become conditions that each hold somewhere in the trace; what is no logfmt is an error that
// says where.
func TestParseTags(t *testing.T) {
	for tags, want := range map[string]string{
		``:                      `{ }`,
		`service.name=mailer`:   "{ resource.service.name =~ `.*mailer.*` }",
		`name="SELECT items"`:   "{ name =~ `.*SELECT items.*` }",
		`root.name=a.b`:         "{ rootName =~ `.*a\\.b.*` }",
		`status.code=error a=b`: "({ status = error }) && ({ span.a = `b` || resource.a = `b` })",
		`http.status_code=204`:  "{ span.http.status_code = `204` || resource.http.status_code = `204` || span.http.status_code = 204 }",
		`foo`:                   "{ span.foo = `` || resource.foo = `` }",
		`a="x\"y"`:              "{ span.a = `x\"y` || resource.a = `x\"y` }",
	} {
		q, err := ParseTags(tags, 0, 0)
		require.NoError(t, err, tags)
		again, err := Parse(want)
		require.NoError(t, err, want)
		require.Equal(t, again.String(), q.String(), tags)
	}
	q, err := ParseTags("", 100*time.Millisecond, time.Second)
	require.NoError(t, err)
	require.Equal(t, "{ (traceDuration >= 100ms) && (traceDuration <= 1s) }", q.String())
	for tags, want := range map[string]string{
		`a=b a=c`: "tag a has been set twice",
		`=`:       "unexpected '=' at pos 1",
		`a=b=c`:   "unexpected '=' at pos 4",
		`a="b`:    "unterminated quoted value at pos 3",
		`a"b`:     "unexpected '\"' at pos 2",
	} {
		_, err := ParseTags(tags, 0, 0)
		require.EqualError(t, err, want, tags)
	}
}

func FuzzParseFilter(f *testing.F) {
	for _, s := range []string{`{ span.a = "x" && (span.b = `, `{ !((a || .`, "{ `", `}{`, `{ span.a + (1 `} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, q string) {
		if p := ParseFilter(q); p != nil {
			if _, err := Parse(p.String()); err != nil {
				t.Fatalf("%q became %q: %v", q, p, err)
			}
		}
	})
}

func FuzzParseTags(f *testing.F) {
	for _, s := range []string{`a=b`, `name="x y" service.name=z`, `a`, `"`, `http.status_code=5`} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, tags string) {
		if q, err := ParseTags(tags, 1, 2); (q == nil) == (err == nil) {
			t.Fatal("neither a query nor an error, or both")
		}
	})
}
