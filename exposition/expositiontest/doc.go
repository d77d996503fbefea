// Package expositiontest helps to test what writes expositions: streams to write, a contract that says
// what must come of them, a slow exporter that does the same through client_golang, and a parser.
//
// It does not know package exposition, so that the tests inside of that can use it too.
package expositiontest
