package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxFileBytes bounds a configuration file, before and after its variables are replaced.
const maxFileBytes = 4 << 20

// document is a file as YAML, with the lines that its keys stand on.
type document struct {
	file   string
	root   *yaml.Node     // the mapping of the file; nil where there is none
	origin []int          // the line of the file for each line of the YAML
	tree   map[string]any // the values
}

// readDocument reads a file. It reports everything that is wrong with the text: variables, keys
// that stand twice, and text that is not YAML. After text that is not YAML nothing more is known
// of the file.
func readDocument(src Sources) (*document, []error) {
	d := &document{file: src.File, tree: map[string]any{}}
	text := src.YAML
	var errs []error
	if len(text) > maxFileBytes {
		return d, []error{fmt.Errorf("read %s: it has more than %d bytes", src.File, maxFileBytes)}
	}
	for i := range bytes.Count(text, []byte("\n")) + 1 {
		d.origin = append(d.origin, i+1)
	}
	if src.ExpandEnv {
		var problems []error
		text, d.origin, problems = expandText(text, src.Env)
		for _, e := range problems {
			errs = append(errs, fmt.Errorf("%s:%w", src.File, e))
		}
		if len(text) > maxFileBytes {
			return d, append(errs, fmt.Errorf("read %s: with its variables replaced it has more than %d bytes",
				src.File, maxFileBytes))
		}
	}
	var node yaml.Node
	in := yaml.NewDecoder(bytes.NewReader(text))
	switch err := in.Decode(&node); {
	case errors.Is(err, io.EOF):
		return d, errs
	case err != nil:
		return d, append(errs, d.syntaxError(err))
	}
	if err := in.Decode(&yaml.Node{}); err == nil {
		errs = append(errs, fmt.Errorf("read %s: it has a second document behind a line ---, which would be read past",
			src.File))
	} else if !errors.Is(err, io.EOF) {
		errs = append(errs, d.syntaxError(err))
	}
	root := node.Content[0]
	if root.Kind == yaml.ScalarNode && root.Tag == "!!null" {
		return d, errs
	}
	if root.Kind != yaml.MappingNode {
		return d, append(errs, fmt.Errorf("%sit is no mapping of keys to values", d.placeOfNode(root)))
	}
	d.root = root
	errs = append(errs, d.dropRepeated(root, "")...)
	var tree any
	if err := node.Decode(&tree); err != nil {
		return d, append(errs, d.syntaxError(err))
	}
	d.tree, _ = withStringKeys(tree).(map[string]any)
	return d, errs
}

// dropRepeated removes keys that stand in a mapping a second time, and returns an error for each.
func (d *document) dropRepeated(n *yaml.Node, path string) (errs []error) {
	switch n.Kind {
	case yaml.SequenceNode:
		for _, e := range n.Content {
			errs = append(errs, d.dropRepeated(e, path)...)
		}
	case yaml.MappingNode:
		first := map[string]int{}
		for i := 0; i+1 < len(n.Content); {
			key, here := n.Content[i], strings.TrimPrefix(path+"."+n.Content[i].Value, ".")
			if line, twice := first[key.Value]; twice && key.Kind == yaml.ScalarNode && key.Value != "<<" {
				errs = append(errs, fmt.Errorf("%s%s is already defined on line %d", d.placeOfNode(key), here, line))
				n.Content = slices.Delete(n.Content, i, i+2)
				continue
			}
			first[key.Value] = d.lineInFile(key.Line)
			errs = append(errs, d.dropRepeated(n.Content[i+1], here)...)
			i += 2
		}
	}
	return errs
}

// withStringKeys makes the keys of all mappings strings, because a tenant's name may be a number.
func withStringKeys(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for key, e := range v {
			v[key] = withStringKeys(e)
		}
	case map[any]any:
		out := make(map[string]any, len(v))
		for key, e := range v {
			out[fmt.Sprint(key)] = withStringKeys(e)
		}
		return out
	case []any:
		for i, e := range v {
			v[i] = withStringKeys(e)
		}
	}
	return v
}

var lineOfYAML = regexp.MustCompile(`line (\d+)`)

// syntaxError puts the line of the file before an error of the YAML reader. The scanner of the
// reader counts lines from one, its parser counts from zero and leaves zero out.
func (d *document) syntaxError(err error) error {
	text, line := strings.Join(strings.Fields(strings.TrimPrefix(err.Error(), "yaml: ")), " "), 0
	if m := lineOfYAML.FindStringSubmatch(text); m != nil {
		line, _ = strconv.Atoi(m[1])
		text = strings.TrimPrefix(strings.TrimPrefix(text, m[0]), ": ")
	}
	if line == 0 || strings.HasPrefix(text, "did not find expected") {
		line++
	}
	return fmt.Errorf("%s:%d: %s", d.file, d.lineInFile(line), text)
}

// lineInFile returns the line of the file from which a line of the YAML comes. The reader may name
// the line after the last.
func (d *document) lineInFile(n int) int { return d.origin[max(min(n, len(d.origin))-1, 0)] }

// placeOfNode returns the file and the line of a node, as the beginning of a message.
func (d *document) placeOfNode(n *yaml.Node) string {
	return fmt.Sprintf("%s:%d: ", d.file, d.lineInFile(n.Line))
}

// placeOfPath returns the file and the line of a path, as the beginning of a message. It is empty
// if the path is not in the file.
func (d *document) placeOfPath(path string) string {
	n, place := d.root, ""
	for n != nil && n.Kind == yaml.MappingNode && path != "" {
		found := false
		for i := 0; i+1 < len(n.Content); i += 2 {
			rest, ok := strings.CutPrefix(path, n.Content[i].Value)
			if !ok || n.Content[i].Value == "" || rest != "" && rest[0] != '.' && rest[0] != '[' {
				continue
			}
			place, found = d.placeOfNode(n.Content[i]), true
			n, path = n.Content[i+1], strings.TrimPrefix(rest, ".")
			// a key of a map, or an element of a list
			if inner, after, ok := strings.Cut(rest, "]"); ok && rest[0] == '[' {
				if n.Kind != yaml.MappingNode {
					return place
				}
				path = inner[1:] + after
			}
			break
		}
		if !found {
			return ""
		}
	}
	if path != "" {
		return ""
	}
	return place
}
