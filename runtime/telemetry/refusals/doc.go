// Package refusals is the one place where everything that takes spans in counts and logs what it
// does not keep as it was sent: receivers (OTLP, Zipkin, Jaeger) and the distributor.
//
// Three kinds of things are counted, each by tenant and Reason:
//
//	// a whole request was refused
//	r.CountRequest(tenant, refusals.Malformed, 0, "read span: wrong wire type")
//	// spans were refused and the rest kept
//	r.CountSpans(tenant, refusals.InvalidID, 3, "3 spans refused: trace ids must …")
//	// everything was kept, but not as sent
//	r.CountWarning(tenant, refusals.ValuesCut, 1, "1 span kept with values cut: …")
//
// Whoever decides counts, and it counts once: a receiver does not count what the distributor
// refused. A *Refusals that is nil counts nothing.
//
// Tenants. tenant is the name as far as it is known, "" before it is. A tenant has a label of its
// own in metrics once something of it has been decoded (Tenants().Grant, called by the
// distributor); until then, and past the bound of telemetry.MaxTenantLabels, it counts under
// telemetry.OtherTenants. Requests without a tenant count under NoTenant.
//
// Log. The first refusal of a tenant and reason is logged at once. What follows is added up and
// logged once a minute, with the number of requests and spans and the newest message. At most
// maxLines lines are written a minute; a last one sums up the rest.
package refusals
