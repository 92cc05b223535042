package main

import (
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"

	"github.com/troupe-tracing/troupe/cmd/troupectl/render"
)

// maxResources is the number of resources that are listed below a trace.
const maxResources = 20

// origin is a source of spans: a resource, and the scopes that made them.
type origin struct {
	service, resource string
	spans             int
	scopes            []string
}

// groupOrigins groups the spans by their resources, in the order of the first span.
func (t *tree) groupOrigins() []*origin {
	var out []*origin
	byText := map[string]*origin{}
	byResource := map[pcommon.Resource]*origin{}
	for _, n := range t.all {
		o := byResource[n.resource]
		if o == nil {
			text := attributeText(n.resource.Attributes())
			if o = byText[n.service+" "+text]; o == nil {
				o = &origin{service: n.service, resource: text}
				out = append(out, o)
				byText[n.service+" "+text] = o
			}
			byResource[n.resource] = o
		}
		o.spans++
		if scope := strings.TrimSpace(n.scope.Name() + " " + n.scope.Version()); scope != "" &&
			!slices.Contains(o.scopes, scope) {
			o.scopes = append(o.scopes, scope)
		}
	}
	return out
}

// attributeText writes attributes on one line, without the service's name, which stands beside
// them.
func attributeText(attributes pcommon.Map) string {
	var out []string
	for k, v := range attributes.All() {
		if k != "service.name" {
			out = append(out, k+"="+v.AsString())
		}
	}
	return strings.Join(out, " ")
}

// showResources lists where the spans come from.
func (t *tree) showResources(p *render.Printer) {
	p.Linef("")
	table := p.Table(render.Column{Title: "service", Min: 8, Style: render.Cyan},
		render.Column{Title: "spans", Right: true},
		render.Column{Title: "scope", Min: 16}, render.Column{Title: "resource", Min: 24})
	all := t.groupOrigins()
	for _, o := range all[:min(len(all), maxResources)] {
		table.Row(o.service, strconv.Itoa(o.spans), strings.Join(o.scopes, ", "), o.resource)
	}
	table.Print()
	if left := len(all) - maxResources; left > 0 {
		p.Linef("… and %s", render.Count(left, "more resource", "more resources"))
	}
}
