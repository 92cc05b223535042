package limits

// The messages by which the gateway of /api/overrides reaches the documents that tenants have set.
// The overrides actor handles all of them, and each may be repeated. A failure is answered with a
// status.Error.

// ReadOwn asks for the document of a tenant. It is answered with an OwnDocument.
type ReadOwn struct{ Tenant string }

// OwnDocument is the document of a tenant as JSON, which is not to be changed, and its version.
// Version 0 means that there is none.
type OwnDocument struct {
	Body    []byte
	Version uint64
}

// ListOwn asks which tenants have a document. It is answered with OwnTenants.
type ListOwn struct{}

// OwnTenants are the tenants that have a document, sorted.
type OwnTenants struct{ Tenants []string }

// WriteOwn replaces the document of a version. It is answered with an OwnWritten when the new
// document is durable. A repeated WriteOwn finds another version.
type WriteOwn struct {
	Tenant  string
	Version uint64 // that is replaced; 0: there must be none
	Body    []byte // valid JSON
}

// RemoveOwn removes the document of a version. It is answered with an OwnWritten.
type RemoveOwn struct {
	Tenant  string
	Version uint64
}

// OwnWritten answers WriteOwn and RemoveOwn.
type OwnWritten struct {
	Version  uint64 // of the new document
	Conflict bool   // nothing was written: the document is of another version than the one named
}
