// Package cluster is where nodes meet: who is here (membership), who owns what (placement), how to
// reach it (directory, transport).
//
// Nothing of it is built yet. On one node the kernel's System is the directory (ask.Directory): it
// finds actors by kind and key, and kinds cannot tell it from one that also knows other nodes.
package cluster
