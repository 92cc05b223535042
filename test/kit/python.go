package kit

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/troupe-tracing/troupe/test/kit/absent"
)

// Python returns the interpreter of the environment that `make python` makes; the test is skipped
// where it lacks one of the modules.
func Python(t testing.TB, modules ...string) string {
	t.Helper()
	python, err := filepath.Abs("../../.venv/bin/python")
	if err != nil {
		t.Fatal(err)
	}
	if v := os.Getenv("TROUPE_PYTHON"); v != "" {
		python = v
	}
	for _, m := range modules {
		if out, err := exec.Command(python, "-c", "import "+m).CombinedOutput(); err != nil {
			absent.Skip(t, "Python modules are absent (make python)", m, err, string(out))
		}
	}
	return python
}
