// Package long puts a trace in order that is too large to be held whole.
//
// First the keys of its spans are read: when and under which id each begins, and where it lies. An
// Index orders them as trace.Assemble orders the spans of small traces, whatever homes they come
// from. Then the spans themselves are read in that order, chunk by chunk.
//
//	ReadKeys ─► Index.Add … ─► Index.Ambiguous ─► Index.AddContents … ─► Index.Arrange
//	                                                                        │
//	         Chunk.Append ◄─ trace.Fragments of Chunk.Parts ◄─ Index.Take ◄─┘
//
// A key takes 24 bytes. What keys cannot tell is asked for beside them, for the spans whose id
// stands more than once: a checksum of the content, by which duplicates are found, and the kind,
// because a client and a server may share one id (trace.Relinks).
//
// Where two spans begin together under one id, trace.Assemble orders them by their content, and
// this package by its checksum. That is the only difference between the two.
//
// An Outline has, beside the keys, the details of the spans that draw a trace (ReadDetails). It is
// in the order of starts, and no span is read for it.
package long
