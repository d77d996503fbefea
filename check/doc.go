// Package check tells what this machine and the selected interfaces mean for a capture, without serving: -check.
//
//	Run ─┬─ machine   sysctls, memory and its limits, processors, clock
//	     ├─ device    driver, queues and their interrupts, offloads, MTU, link type of an interface
//	     ├─ traffic   three seconds of the capture itself, and beside it a sample of what passes and of what does not
//	     ├─ speed     prepared blocks, accounted on this processor
//	     └─ propose   flags that would suit better than those given, each with its reason
//
// It opens what a capture opens, and changes nothing: it sets no sysctl, no offload and no promiscuous mode. All that it
// opens is closed when Run returns. The readings take the root of the file system as an argument, so that tests have
// trees of their own.
package check
