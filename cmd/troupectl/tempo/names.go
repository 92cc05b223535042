package tempo

// attributeNamed returns the attribute that a column is named after, empty for a name of none. The
// names are those of OpenTelemetry's conventions that have columns of their own by default
// somewhere.
func attributeNamed(column string) string {
	for _, name := range []string{
		"service.name", "service.namespace", "service.version", "service.instance.id", "host.name",
		"cluster", "namespace", "pod", "container", "deployment.environment",
		"k8s.cluster.name", "k8s.namespace.name", "k8s.pod.name", "k8s.container.name", "k8s.node.name",
		"http.method", "http.url", "http.route", "http.target", "http.status_code",
		"http.request.method", "http.response.status_code", "url.path", "url.route", "url.full",
		"server.address", "server.port", "db.system", "db.statement", "db.name", "rpc.service", "rpc.method",
		"net.peer.name", "messaging.system",
	} {
		if plain(name) == column {
			return name
		}
	}
	return ""
}
