// Package netpath carries IP packets between two tun devices over a path of its own: delay, loss,
// reordering, a bottleneck. In the middle is a capture point, whose packets it writes to a capture
// file. The path sees every segment as the sender sent it, so it knows what an observer at the
// point can only infer: which segments are repairs, and which were only overtaken.
//
//	             before the point           behind the point
//	sender ---- delay, loss, held back ---*--- loss, bottleneck, delay ---> receiver
//	sender <--- delay, loss --------------*------------- thinned, loss, delay ---- receiver
//	                                   capture
//
// One thread carries all packets. It is the only user of both devices' descriptors, sleeps until
// the next packet is due or comes, and delivers packets in the order of their times, those of equal
// times in the order in which they came. Nothing but Config.Held changes the order of a direction.
package netpath
