package diff

import (
	"maps"
	"reflect"
	"slices"
)

// listChanges lists how a span differs from its counterpart, except for their resources, and counts
// the changes in n.
func (s *span) listChanges(n *PatchStats) (own, events []Change) {
	o := s.counterpart
	field := func(name string, before, after any) {
		if before != after {
			n.FieldChanges++
			own = append(own, Change{"replace", Target{Type: "field", Name: name}, before, after})
		}
	}
	field("duration_nanos", s.durationNanos(), o.durationNanos())
	field("status", statusWord(s.status), statusWord(o.status))
	field("status_message", s.message, o.message)
	attributes := compareAttributes("span", s.attributes, o.attributes)
	n.AttributeChanges += len(attributes)
	own = append(own, attributes...)
	events = compareEvents(s.events, o.events)
	n.EventChanges += len(events)
	return own, events
}

// compareEvents lists how two lists of events differ, place by place.
func compareEvents(before, after []event) (out []Change) {
	for i := range max(len(before), len(after)) {
		switch {
		case i >= len(before):
			target := Target{Type: "event", Name: after[i].name}
			out = append(out, Change{"add", target, nil, after[i].attributes})
		case i >= len(after):
			target := Target{Type: "event", Name: before[i].name}
			out = append(out, Change{"remove", target, before[i].attributes, nil})
		case before[i].name != after[i].name || !reflect.DeepEqual(before[i].attributes, after[i].attributes):
			target := Target{Type: "event", Name: before[i].name}
			out = append(out, Change{"replace", target, before[i].attributes, after[i].attributes})
		}
	}
	return out
}

// unionKeys returns the keys of two maps, sorted.
func unionKeys(a, b map[string]any) []string {
	all := maps.Clone(a)
	if all == nil {
		all = map[string]any{}
	}
	maps.Copy(all, b)
	return slices.Sorted(maps.Keys(all))
}

// compareAttributes lists how two sets of attributes differ, by key.
func compareAttributes(scope string, before, after map[string]any) (out []Change) {
	for _, k := range unionKeys(before, after) {
		was, had := before[k]
		is, has := after[k]
		c := Change{"replace", Target{Type: "attribute", Scope: scope, Key: k}, was, is}
		switch {
		case !had:
			c.Op = "add"
		case !has:
			c.Op = "remove"
		case reflect.DeepEqual(was, is):
			continue
		}
		out = append(out, c)
	}
	return out
}

// resourceChanges remembers how pairs of resources differ, because many spans share a pair.
type resourceChanges map[[2]*resource]resourceChange

type resourceChange struct {
	changes []Change
	size    int // of changes in an answer, in bytes, estimated
}

func (r resourceChanges) changesBetween(before, after *resource) resourceChange {
	pair := [2]*resource{before, after}
	d, ok := r[pair]
	if !ok {
		d.changes = compareAttributes("resource", before.attributes, after.attributes)
		d.size = sizeOfChanges(d.changes)
		r[pair] = d
	}
	return d
}
