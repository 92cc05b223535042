// Package absent skips tests that need something which this machine lacks, and collects their
// names, so that `make test` can say at its end which tests did not run.
package absent

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

// ReportVariable is the environment variable that names the file of skipped tests. Each line of the
// file is a reason, a tab, the test's package, a dot and its name. Without the variable nothing is
// collected.
const ReportVariable = "TROUPE_ABSENT_REPORT"

// Skip skips the test because of what is absent, for example "the recorded traces are absent
// (TROUPE_SHARED)". Tests with the same reason share one line of the summary, so the reason should
// not contain what differs between machines; details go to the skip's own message only.
func Skip(t testing.TB, reason string, details ...any) {
	t.Helper()
	if err := appendToReport(reason, t.Name()); err != nil {
		t.Errorf("report the skipped test: %v", err) // otherwise the summary would conceal this test
	}
	t.Skip(append([]any{reason}, details...)...)
}

// appendToReport appends one line. Several test binaries write to the file at once: a short write
// to a file opened for appending is not mixed with others.
func appendToReport(reason, test string) error {
	name := os.Getenv(ReportVariable)
	if name == "" {
		return nil
	}
	folder, err := os.Getwd() // of the package whose test this is
	if err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(f, "%s\t%s.%s\n", reason, filepath.Base(folder), test); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
