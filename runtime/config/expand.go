package config

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/drone/envsubst"
)

// maxSubstitutionLines is how many lines one ${...} may reach over.
const maxSubstitutionLines = 200

// unsupported are forms that shells know and the library would read as something else.
var unsupported = regexp.MustCompile(`\$\{[A-Za-z_][A-Za-z0-9_]*:[?+]`)

// expandText replaces ${NAME}, ${NAME:-default} and the other forms that Tempo documents in the
// text of a file, before it is read as YAML: a whole section may stand in one variable. $$ is a
// dollar sign, $NAME stays as it is, a variable that is not set is empty. origin has, for each line
// of the result, the number of the line of the file that it comes from, so that later errors can
// name it. What cannot be replaced is an error with its line; the other lines are expanded
// nevertheless.
func expandText(text []byte, environ []string) (out []byte, origin []int, errs []error) {
	vars := map[string]string{}
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		vars[name] = value
	}
	lines := strings.SplitAfter(string(text), "\n")
	var b bytes.Buffer
	for at := 0; at < len(lines); {
		piece, taken, err := expandPiece(lines[at:], vars)
		if err != nil && !strings.HasPrefix(strings.TrimSpace(lines[at]), "#") { // a comment is no place for an error
			errs = append(errs, &lineError{at + 1, err})
		}
		b.WriteString(piece)
		for range strings.Count(piece, "\n") {
			origin = append(origin, at+1)
		}
		at += taken
	}
	return b.Bytes(), append(origin, len(lines)), errs
}

// expandPiece expands as many of the lines as belong together, usually the first alone, and
// returns how many they are. A line that cannot be expanded is returned as it is, with the reason.
func expandPiece(lines []string, vars map[string]string) (string, int, error) {
	piece, first := "", error(nil)
	for i, line := range lines[:min(len(lines), maxSubstitutionLines)] {
		piece += line
		if !strings.Contains(piece, "${") && !strings.Contains(piece, "$$") {
			return piece, i + 1, nil
		}
		out, err := expandVariables(piece, vars)
		if err == nil {
			return out, i + 1, nil
		}
		if first == nil {
			first = err
		}
	}
	return lines[0], 1, first
}

// expandVariables replaces the variables of a text. The library slices beyond its bounds for some
// lengths of substrings; that is an error here.
func expandVariables(s string, vars map[string]string) (out string, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = errors.New("expand variables: the position or length of a substring is outside of its value")
		}
	}()
	if at := unsupported.FindString(s); at != "" {
		return "", fmt.Errorf("expand variables: %s...}: this form is not known; ${NAME:-default} gives a default", at)
	}
	out, err = envsubst.Eval(s, func(name string) string { return vars[name] })
	if err != nil {
		return "", fmt.Errorf("expand variables: %w: known are ${NAME}, ${NAME:-default}, "+
			"substrings and replacements; $$ is a dollar sign", err)
	}
	return out, nil
}

// lineError is an error on a line of the file.
type lineError struct {
	line int
	err  error
}

func (e *lineError) Error() string { return fmt.Sprintf("%d: %s", e.line, e.err) }
func (e *lineError) Unwrap() error { return e.err }
