// Package answer renders the answers of the public API. It turns what a query found (a jobs.Answer
// with the results of eval) into the messages of messages/api, and those into their JSON.
//
// Results of one query's jobs are merged before they come here, by jobs.Partial.Merge; only the
// answers of several tenants are joined here, by JoinTenants. The package is pure.
//
// OTLP senders do not always keep to the rule that text is valid UTF-8. Protobuf and JSON both
// require it, so each invalid sequence is replaced here by U+FFFD.
package answer
