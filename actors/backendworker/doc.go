// Package backendworker is the kind that merges blocks. The backend-scheduler plans merges and
// leases them; a worker asks for one, merges the blocks to one, and says so. It decides nothing and
// keeps nothing: it may die at any point, and what it has uploaded is then swept.
//
//	        a lease                    the block is durable
//	asking ─────────► merging ─────────────────────────────► reporting
//	  ▲ │ none is due    │ every 10 s: MergeBeat                 │
//	  │ ▼                │ the lease is closed: the merge ends   │
//	resting ◄────────────┴───────────────────────────────────────┘
//
// A drain ends the merge: the lease is closed, and another worker begins anew.
package backendworker
