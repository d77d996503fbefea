// Package api answers questions about streams and groups in JSON, over HTTP: /api/v1/streams, /api/v1/groups and
// /api/v1/status, as docs/api.md describes them. What the status is made of it leaves to package status.
//
//	handler.go    one request from its path to its last byte
//	admission.go  how many requests there may be at a time
//	values.go     parameters: what all have in common
//	query.go      parameters of /api/v1/streams
//	filter.go     which streams they select
//	streams.go    a reading of all streams, and the answer
//	window.go     two readings, and what came between them
//	groups.go     /api/v1/groups
//	status.go     /api/v1/status
//	histogram.go  a histogram of times in the answer
//
// It sees every stream once, part by part as the workers copy them, and keeps no more of them than it answers with: its
// memory does not depend on how many streams there are. The exception is a window, which keeps one number of each stream
// that was selected while the request lasts; one such request is admitted at a time.
//
// A Handler may be called from any number of goroutines. It reads the capture through Source and Groups alone, and has
// its answer complete before it talks to the client.
package api
