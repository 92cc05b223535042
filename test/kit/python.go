package kit

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
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
			t.Skipf("Python with module %s is not here: run `make python` (%v) %s", m, err, out)
		}
	}
	return python
}
