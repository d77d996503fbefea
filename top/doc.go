// Package top shows the streams and groups of a running exporter in a terminal, as top(1) shows processes. It is a client
// of the JSON API (docs/api.md) and knows nothing of capturing.
//
//	answer.go    fields of the API's answers that are shown
//	client.go    requests, and what to tell of one that fails
//	filter.go    what a filter may say
//	columns.go   columns: what they show, how wide they are, which ones fit
//	number.go    numbers as people read them
//	frame.go     the lines of a screen
//	keys.go      bytes of a keyboard, and what they change
//	terminal.go  raw mode, size, escape sequences
//	run.go       the loop, and the table without a terminal
//
// One goroutine, that of Run, has the state and writes to the terminal. One reads the keyboard, and one at a time asks the
// exporter; both hand what they have to the first. A frame is text of ASCII and of the names that the exporter has: control
// characters never get through, whoever the exporter is.
package top
