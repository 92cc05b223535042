package tempo

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/parquet-go/parquet-go"
)

// role is what a column means.
type role uint8

const (
	unknown role = iota // its values would be lost
	derived             // computed from the spans by who wrote the file
	group               // columns that belong to the node above
	next                // the list of what is within: resources, scopes, spans
	traceID
	spanID
	parentID
	spanName
	kind
	traceState
	start
	end
	duration
	status
	statusMessage
	droppedAttributes
	droppedEvents
	droppedLinks
	flags
	attributes // a list of keys and values
	attribute  // the values of one attribute
	events
	links
	version
	schemaURL
	offset // of an event from the start of its span

	key // of an attribute
	isArray
	values
	rawValue // an AnyValue in the JSON of OTLP
)

// scope names what columns are about.
type scope string

// The scopes that columns may have, by their names in meta.json.
const (
	ofTrace    scope = "trace"
	ofResource scope = "resource"
	ofScope    scope = "scope"
	ofSpan     scope = "span"
	ofEvent    scope = "event"
	ofLink     scope = "link"
)

// fieldsOf are the fields of OTLP's messages by their plain names; the aliases are the names of
// TraceQL's intrinsics.
func fieldsOf(s scope) map[string]role {
	switch s {
	case ofResource:
		return map[string]role{"droppedattributescount": droppedAttributes, "schemaurl": schemaURL}
	case ofScope:
		return map[string]role{"name": spanName, "version": version, "droppedattributescount": droppedAttributes,
			"schemaurl": schemaURL}
	case ofSpan:
		return map[string]role{
			"traceid": traceID, "spanid": spanID, "parentspanid": parentID, "name": spanName, "kind": kind,
			"tracestate": traceState, "starttimeunixnano": start, "endtimeunixnano": end,
			"durationnano": duration, "duration": duration, "durationnanos": duration,
			"statuscode": status, "statusmessage": statusMessage, "flags": flags,
			"droppedattributescount": droppedAttributes, "droppedeventscount": droppedEvents,
			"droppedlinkscount": droppedLinks,
			// places in the tree, from the parents
			"nestedsetleft": derived, "nestedsetright": derived, "nestedsetparent": derived, "parentid": derived,
			"childcount": derived,
		}
	case ofEvent:
		return map[string]role{"name": spanName, "timeunixnano": start, "timesincestart": offset,
			"timesincestartnano": offset, "droppedattributescount": droppedAttributes}
	case ofLink:
		return map[string]role{"traceid": traceID, "spanid": spanID, "tracestate": traceState, "flags": flags,
			"droppedattributescount": droppedAttributes}
	}
	return nil
}

// binder finds out what the columns of a file mean. It knows no list of the columns of a version:
// how they nest is in the footer, and they are named by the fields of OTLP, by attributes, or by
// the meta of the block.
type binder struct{ dedicated []DedicatedColumn }

// bind gives every column of the file its role.
func (b *binder) bind(root *node) error {
	levels := findSpans(root)
	if len(levels) != 3 {
		return fmt.Errorf("it has no lists of resources, scopes and spans within each other")
	}
	for _, n := range root.children {
		switch plain(n.name) {
		case "traceid":
			n.role = traceID
		default:
			n.role = derived // OTLP has no fields of a trace
		}
	}
	for i, s := range []scope{ofTrace, ofResource, ofScope, ofSpan} {
		at := root
		if i > 0 {
			at = levels[i-1].elem
			b.bindChildren(at, s, "")
		}
		if i < 3 {
			markPath(at, levels[i])
		}
	}
	return nil
}

// findSpans returns the lists that lie within each other from the root to the spans, the spans
// last: the list nearest to the root whose elements have span ids.
func findSpans(root *node) []*node {
	type found struct {
		n     *node
		above []*node
	}
	for level := []found{{root, nil}}; len(level) > 0; {
		var below []found
		for _, f := range level {
			for _, c := range f.n.children {
				switch {
				case c.elem != nil && hasChild(c.elem, "spanid") && hasChild(c.elem, "name"):
					return append(f.above, c)
				case c.elem != nil && !c.elem.leaf:
					below = append(below, found{c.elem, append(f.above[:len(f.above):len(f.above)], c)})
				case c.isGroup():
					below = append(below, found{c, f.above})
				}
			}
		}
		level = below
	}
	return nil
}

func hasChild(n *node, name string) bool {
	for _, c := range n.children {
		if plain(c.name) == name {
			return true
		}
	}
	return false
}

// markPath marks the columns from a node to the list that lies within it.
func markPath(from, list *node) {
	for _, c := range from.children {
		switch {
		case c == list:
			c.role = next
			return
		case c.isGroup() && c.from <= list.from && list.to <= c.to:
			c.role = group
			markPath(c, list)
			return
		}
	}
}

// bindChildren gives the columns of one scope their roles. prefix is the plain name of the groups
// between: what OTLP calls status.code may be the column StatusCode, or Code in the group Status.
func (b *binder) bindChildren(at *node, s scope, prefix string) {
	fields := fieldsOf(s)
	for _, c := range at.children {
		name := prefix + plain(c.name)
		switch {
		case c.isGroup():
			c.role = group
			b.bindChildren(c, s, prefixWithin(s, name))
		case c.elem != nil && isAttributes(c.elem):
			c.role = attributes
			bindAttribute(c.elem)
		case c.elem != nil && s == ofSpan && name == "events":
			c.role = events
			b.bindChildren(c.elem, ofEvent, "")
		case c.elem != nil && s == ofSpan && name == "links":
			c.role = links
			b.bindChildren(c.elem, ofLink, "")
		case c.leaf && fields[name] != unknown:
			c.role = fields[name]
		case c.leaf && s == ofSpan && c.kind == parquet.Int64 && strings.HasPrefix(name, "starttime"):
			c.role = derived // the start, rounded
		default:
			if attr := b.attributeOf(c, s, name); attr != "" {
				c.role, c.name0 = attribute, []byte(attr)
			}
		}
	}
}

// prefixWithin returns what the names of columns in a group begin with: nothing where the group is
// the thing itself, such as Resource in a list of resources.
func prefixWithin(s scope, name string) string {
	if name == string(s) || name == "instrumentationscope" || strings.HasPrefix(name, "dedicated") {
		return ""
	}
	return name
}

// isAttributes reports whether the elements of a list are keys with values.
func isAttributes(elem *node) bool {
	if !hasChild(elem, "key") {
		return false
	}
	for _, c := range elem.children {
		if strings.HasPrefix(plain(c.name), "value") {
			return true
		}
	}
	return false
}

// bindAttribute gives the columns of a key and its values their roles. A text beside lists of
// values is what the lists cannot hold.
func bindAttribute(elem *node) {
	lists := false
	for _, c := range elem.children {
		lists = lists || c.elem != nil
	}
	for _, c := range elem.children {
		name := plain(c.name)
		switch {
		case name == "key":
			c.role = key
		case c.leaf && c.kind == parquet.Boolean && strings.Contains(name, "array"):
			c.role = isArray
		case c.leaf && lists && (c.kind == parquet.ByteArray || c.kind == parquet.FixedLenByteArray):
			c.role = rawValue
		case strings.HasPrefix(name, "value"):
			c.role = values
		}
	}
}

// attributeOf returns the attribute whose values are in a column, empty if it is of none that is
// known. The n-th dedicated column of a scope and type holds the n-th attribute of the meta's list
// that has them.
func (b *binder) attributeOf(c *node, s scope, name string) string {
	word := strings.TrimRight(name, "0123456789")
	if n, err := strconv.Atoi(name[len(word):]); err == nil && n > 0 && (word == "string" || word == "int") {
		for _, d := range b.dedicated {
			if d.Scope == string(s) && d.Type == word {
				if n--; n == 0 {
					return d.Name
				}
			}
		}
		return ""
	}
	if s == ofResource || s == ofSpan {
		return attributeNamed(name)
	}
	return ""
}
