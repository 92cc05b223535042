package traceql

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"
)

// parseCase is a query and the stage of Parse that accepts or refuses it: ok, parse or validate.
type parseCase struct {
	Stage string `yaml:"stage"`
	Query string `yaml:"query"`
}

// readParseCases returns the parse cases of testdata/semantics.yaml, which holds the cases of
// evaluation too.
func readParseCases(t testing.TB) []parseCase {
	b, err := os.ReadFile("testdata/semantics.yaml")
	require.NoError(t, err)
	var file struct {
		Cases []parseCase `yaml:"parse_cases"`
	}
	require.NoError(t, yaml.Unmarshal(b, &file))
	return file.Cases
}

// Every parse case has the outcome the specification gives it: it is accepted, or refused by the
// grammar, or by the type rules.
func TestParseCases(t *testing.T) {
	cases := readParseCases(t)
	require.Len(t, cases, 304)
	for _, c := range cases {
		q, err := Parse(c.Query)
		switch c.Stage {
		case "ok":
			if !assertNoError(t, c.Query, err) {
				continue
			}
			again, err := Parse(q.String())
			if assertNoError(t, q.String(), err) {
				require.Equal(t, q.String(), again.String(), "printed from %s", c.Query)
			}
		default:
			var syntax *SyntaxError
			require.ErrorAs(t, err, &syntax, c.Query)
			require.Equal(t, c.Stage == "validate", syntax.Semantic, "%s: %v", c.Query, err)
		}
	}
}

func assertNoError(t *testing.T, query string, err error) bool {
	if err != nil {
		t.Errorf("%s: %v", query, err)
	}
	return err == nil
}
