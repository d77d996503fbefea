//go:build ignore

/*
 * cwalk is the least that a reader of TPACKET_V3 costs, without Go: it walks the ring as ringwalk does, waits as the
 * exporter waits, touches the headers of each frame, counts, and prints ringwalk's line at the end. The README of
 * bench/ has its flags. (The line above keeps the go command from taking the file for a part of the package.)
 *
 * Sources: packet(7), Documentation/networking/packet_mmap.rst, linux/if_packet.h and net/packet/af_packet.c of
 * Linux 6.18.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <getopt.h>
#include <limits.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/net_tstamp.h>
#include <net/if.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* Headers of libc may be older than the kernel. */
#ifndef PACKET_IGNORE_OUTGOING
#define PACKET_IGNORE_OUTGOING 23
#endif

#define MAX_RINGS 16
#define FRAME_SIZE 2048 /* checked by the kernel, without meaning in TPACKET_V3 */
#define POLL_MS 100     /* bounds how long a signal goes unnoticed */

/* One byte of the IPv4 header and one of the TCP header behind Ethernet: what every reader has to load at least. */
#define IPV4_SOURCE_AT (14 + 12)
#define TCP_FLAGS_AT (14 + 20 + 13)

enum timestamp { TS_DEFAULT, TS_HARDWARE, TS_RECEIVED };

struct config {
	const char *interfaces[MAX_RINGS];
	int interface_nr;
	int ingress;            /* leave out what this host sends */
	int poll_each;          /* wait once a block instead of napping */
	const char *filter;     /* file, as tcpdump -ddd prints a program */
	unsigned snap_len;      /* bytes of a frame that are copied, if there is no filter */
	int whole;              /* no program at all: frames come whole */
	unsigned block_size;    /* bytes */
	unsigned block_nr;
	unsigned retire_ms;     /* 0: the kernel chooses */
	int fanout;             /* rings for each interface, which share its packets by hash */
	int busy_poll_us;       /* SO_BUSY_POLL, -1: not set */
	enum timestamp timestamp;
};

struct ring {
	int fd;
	uint8_t *mem;
	unsigned block; /* the next one */
};

struct counts {
	uint64_t packets, blocks, touched;
};

static volatile sig_atomic_t over;

static void stop(int sig) { (void)sig; over = 1; }

static void fail(const char *what)
{
	fprintf(stderr, "cwalk: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void refuse(const char *flag, const char *value, const char *want)
{
	fprintf(stderr, "cwalk: -%s %s: want %s\n", flag, value, want);
	exit(1);
}

/* number reads a flag's whole number. */
static unsigned number(const char *flag, const char *text, unsigned long least, unsigned long most)
{
	char *end, want[64];
	errno = 0;
	unsigned long v = strtoul(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || v < least || v > most) {
		snprintf(want, sizeof want, "%lu to %lu", least, most);
		refuse(flag, text, want);
	}
	return (unsigned)v;
}

static int64_t now_ns(clockid_t clock)
{
	struct timespec t;
	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

/* attach attaches the program of a file, or one instruction that cuts frames to the snap length. */
static void attach(int fd, const struct config *c)
{
	static struct sock_filter prog[BPF_MAXINSNS];
	unsigned short len = 1;
	if (c->filter) {
		FILE *f = fopen(c->filter, "r");
		unsigned n, code, jt, jf, k;
		if (!f)
			fail(c->filter);
		if (fscanf(f, "%u", &n) != 1 || n < 1 || n > BPF_MAXINSNS)
			refuse("filter", c->filter, "a program as tcpdump -ddd prints it");
		for (unsigned i = 0; i < n; i++) {
			if (fscanf(f, "%u %u %u %u", &code, &jt, &jf, &k) != 4)
				refuse("filter", c->filter, "a program as tcpdump -ddd prints it");
			prog[i] = (struct sock_filter){code, jt, jf, k};
		}
		fclose(f);
		len = n;
	} else {
		prog[0] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, c->snap_len);
	}
	struct sock_fprog fprog = {len, prog};
	if (setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &fprog, sizeof fprog))
		fail("SO_ATTACH_FILTER");
}

/* set sets an option of one int. */
static void set(int fd, int level, int option, int value, const char *name)
{
	if (setsockopt(fd, level, option, &value, sizeof value))
		fail(name);
}

/* open_ring makes a ring and binds it: packets are counted from there on, because a socket of protocol 0 gets none. */
static void open_ring(struct ring *r, const char *interface, const struct config *c)
{
	unsigned index = 0;
	if (strcmp(interface, "any") && !(index = if_nametoindex(interface)))
		fail(interface);
	if ((r->fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0)) < 0)
		fail("packet socket (needs CAP_NET_RAW)");
	set(r->fd, SOL_PACKET, PACKET_VERSION, TPACKET_V3, "PACKET_VERSION");
	if (!c->whole)
		attach(r->fd, c);
	if (c->ingress)
		set(r->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, 1, "PACKET_IGNORE_OUTGOING");
	if (c->timestamp == TS_HARDWARE)
		set(r->fd, SOL_PACKET, PACKET_TIMESTAMP, SOF_TIMESTAMPING_RAW_HARDWARE, "PACKET_TIMESTAMP");
	if (c->timestamp == TS_RECEIVED)
		set(r->fd, SOL_SOCKET, SO_TIMESTAMPNS, 1, "SO_TIMESTAMPNS");
	if (c->busy_poll_us >= 0)
		set(r->fd, SOL_SOCKET, SO_BUSY_POLL, c->busy_poll_us, "SO_BUSY_POLL");
	struct tpacket_req3 req = {
		.tp_block_size = c->block_size, .tp_block_nr = c->block_nr, .tp_frame_size = FRAME_SIZE,
		.tp_frame_nr = c->block_size / FRAME_SIZE * c->block_nr, .tp_retire_blk_tov = c->retire_ms,
	};
	if (setsockopt(r->fd, SOL_PACKET, PACKET_RX_RING, &req, sizeof req))
		fail("PACKET_RX_RING");
	r->mem = mmap(NULL, (size_t)c->block_size * c->block_nr, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);
	if (r->mem == MAP_FAILED)
		fail("mmap");
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = index};
	if (bind(r->fd, (struct sockaddr *)&at, sizeof at))
		fail("bind");
}

/* walk_block walks the next block of a ring, if the kernel has closed it, and gives it back. */
static int walk_block(struct ring *r, const struct config *c, struct counts *n)
{
	uint8_t *block = r->mem + (size_t)r->block * c->block_size;
	struct tpacket_hdr_v1 *h = &((struct tpacket_block_desc *)block)->hdr.bh1;
	if (!(__atomic_load_n(&h->block_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
		return 0;
	uint8_t *frame = block + h->offset_to_first_pkt;
	uint64_t touched = 0;
	for (uint32_t left = h->num_pkts; left > 0; left--) {
		const struct tpacket3_hdr *f = (const struct tpacket3_hdr *)frame;
		const uint8_t *data = frame + f->tp_mac;
		if (f->tp_snaplen > TCP_FLAGS_AT)
			touched += data[IPV4_SOURCE_AT] + data[TCP_FLAGS_AT];
		frame += f->tp_next_offset;
	}
	n->packets += h->num_pkts;
	n->touched += touched;
	n->blocks++;
	__atomic_store_n(&h->block_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
	if (++r->block == c->block_nr)
		r->block = 0;
	return 1;
}

/* walk_all walks the next block of each ring; it returns 0 if none was closed. */
static int walk_all(struct ring *rings, int ring_nr, const struct config *c, struct counts *n)
{
	int walked = 0;
	for (int i = 0; i < ring_nr; i++)
		walked |= walk_block(&rings[i], c, n);
	return walked;
}

/* pause_ns sleeps; a signal ends it. */
static void pause_ns(int64_t ns)
{
	struct timespec t = {ns / 1000000000, ns % 1000000000};
	nanosleep(&t, NULL);
}

/* naps is the exporter's rule for sleeping over blocks that keep coming (capture/nap.go), stated a second time. */
struct naps {
	uint64_t blocks; /* walked at the last rest */
	int64_t rested;  /* when that was, ns */
};

/* nap_ns returns how long to sleep over blocks, or 0: wait for the next one. */
static int64_t nap_ns(struct naps *n, uint64_t walked, const struct config *c)
{
	const int64_t max_nap = 24000000, bytes_per_ns = 1;
	int64_t now = now_ns(CLOCK_MONOTONIC), since = now - n->rested;
	uint64_t came = walked - n->blocks;
	n->blocks = walked;
	n->rested = now;
	int64_t over_blocks = c->block_nr / 16 < 8 ? c->block_nr / 16 : 8;
	if (came == 0 || over_blocks < 2)
		return 0;
	int64_t fill = (int64_t)c->block_size * c->block_nr / bytes_per_ns;
	int64_t most = fill < max_nap ? fill : max_nap;
	int64_t each = since / (int64_t)came;
	if (each <= 0 || each >= most * 2 / 3)
		return 0;
	return each * over_blocks < most ? each * over_blocks : most;
}

/* await waits for a block of any ring. */
static void await(const struct ring *rings, int ring_nr)
{
	struct pollfd fds[MAX_RINGS];
	for (int i = 0; i < ring_nr; i++)
		fds[i] = (struct pollfd){rings[i].fd, POLLIN | POLLERR, 0};
	if (poll(fds, ring_nr, POLL_MS) < 0 && errno != EINTR)
		fail("poll");
	for (int i = 0; i < ring_nr; i++) {
		int error = 0;
		socklen_t len = sizeof error;
		if (fds[i].revents & POLLERR && !getsockopt(fds[i].fd, SOL_SOCKET, SO_ERROR, &error, &len) && error) {
			errno = error;
			fail("the socket failed");
		}
	}
}

static struct config parse(int argc, char **argv)
{
	static const struct option options[] = {
		{"i", required_argument, 0, 'i'}, {"ingress", no_argument, 0, 'o'}, {"poll", no_argument, 0, 'p'},
		{"filter", required_argument, 0, 'f'}, {"snaplen", required_argument, 0, 's'}, {"whole", no_argument, 0, 'w'},
		{"blocksize", required_argument, 0, 'b'}, {"numblocks", required_argument, 0, 'n'},
		{"retire", required_argument, 0, 'r'}, {"fanout", required_argument, 0, 'g'},
		{"busy-poll", required_argument, 0, 'u'}, {"timestamp", required_argument, 0, 't'}, {0, 0, 0, 0},
	};
	struct config c = {.snap_len = 96, .block_size = 262144, .block_nr = 128, .retire_ms = 64, .fanout = 1, .busy_poll_us = -1};
	int o;
	while ((o = getopt_long_only(argc, argv, "", options, NULL)) != -1) {
		switch (o) {
		case 'i':
			if (c.interface_nr == MAX_RINGS)
				refuse("i", optarg, "fewer interfaces, or any");
			c.interfaces[c.interface_nr++] = optarg;
			break;
		case 'o': c.ingress = 1; break;
		case 'p': c.poll_each = 1; break;
		case 'f': c.filter = optarg; break;
		case 's': c.snap_len = number("snaplen", optarg, 1, 1 << 18); break;
		case 'w': c.whole = 1; break;
		case 'b': c.block_size = number("blocksize", optarg, FRAME_SIZE, 1 << 30); break;
		case 'n': c.block_nr = number("numblocks", optarg, 1, 1 << 16); break;
		case 'r': c.retire_ms = number("retire", optarg, 0, USHRT_MAX); break;
		case 'g': c.fanout = number("fanout", optarg, 1, MAX_RINGS); break;
		case 'u': c.busy_poll_us = number("busy-poll", optarg, 0, 1000000); break;
		case 't':
			if (!strcmp(optarg, "default"))
				c.timestamp = TS_DEFAULT;
			else if (!strcmp(optarg, "hardware"))
				c.timestamp = TS_HARDWARE;
			else if (!strcmp(optarg, "received"))
				c.timestamp = TS_RECEIVED;
			else
				refuse("timestamp", optarg, "default, hardware or received");
			break;
		default:
			fprintf(stderr, "cwalk: -i INTERFACE|any [-i …] [-ingress] [-poll] [-filter FILE | -snaplen BYTES | -whole] [-blocksize BYTES] [-numblocks N] [-retire MS] [-fanout N] [-busy-poll US] [-timestamp default|hardware|received]\n");
			exit(1);
		}
	}
	if (optind < argc) {
		fprintf(stderr, "cwalk: unexpected argument %s\n", argv[optind]);
		exit(1);
	}
	if (c.interface_nr == 0) {
		fprintf(stderr, "cwalk: no interface: give one with -i, or -i any\n");
		exit(1);
	}
	if (c.interface_nr * c.fanout > MAX_RINGS) {
		fprintf(stderr, "cwalk: -fanout %d: %d rings are more than %d\n", c.fanout, c.interface_nr * c.fanout, MAX_RINGS);
		exit(1);
	}
	return c;
}

static double seconds(struct timeval from, struct timeval to)
{
	return (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_usec - from.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
	struct config c = parse(argc, argv);
	struct ring rings[MAX_RINGS] = {0};
	int ring_nr = 0;
	struct sigaction action = {.sa_handler = stop}; /* without SA_RESTART: a signal ends a wait */
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
	for (int i = 0; i < c.interface_nr; i++) {
		for (int member = 0; member < c.fanout; member++) {
			open_ring(&rings[ring_nr], c.interfaces[i], &c);
			/* The group's number is the process's and, for several interfaces, the interface's place. */
			if (c.fanout > 1)
				set(rings[ring_nr].fd, SOL_PACKET, PACKET_FANOUT, ((getpid() + i) & 0xffff) | PACKET_FANOUT_HASH << 16, "PACKET_FANOUT");
			ring_nr++;
		}
	}

	struct rusage before, after;
	struct counts n = {0};
	struct naps naps = {0, now_ns(CLOCK_MONOTONIC)};
	getrusage(RUSAGE_SELF, &before);
	fprintf(stderr, "cwalk: ready\n");
	int64_t start = now_ns(CLOCK_MONOTONIC);
	while (!over) {
		if (walk_all(rings, ring_nr, &c, &n))
			continue;
		int64_t nap = c.poll_each ? 0 : nap_ns(&naps, n.blocks, &c);
		if (nap > 0)
			pause_ns(nap);
		else
			await(rings, ring_nr);
	}
	/* What the rings hold, at most one round, and then their last blocks, which the kernel closes when they time out. */
	for (int last = 0; last < 2; last++) {
		for (unsigned left = c.block_nr; left > 0 && walk_all(rings, ring_nr, &c, &n); left--)
			;
		if (!last)
			pause_ns((int64_t)(c.retire_ms + POLL_MS / 2) * 1000000);
	}
	double wall = (double)(now_ns(CLOCK_MONOTONIC) - start) / 1e9;
	getrusage(RUSAGE_SELF, &after);

	uint64_t drops = 0, freezes = 0;
	for (int i = 0; i < ring_nr; i++) {
		struct tpacket_stats_v3 s;
		socklen_t len = sizeof s;
		if (getsockopt(rings[i].fd, SOL_PACKET, PACKET_STATISTICS, &s, &len))
			fail("PACKET_STATISTICS");
		drops += s.tp_drops;
		freezes += s.tp_freeze_q_cnt;
	}
	double user = seconds(before.ru_utime, after.ru_utime), system = seconds(before.ru_stime, after.ru_stime);
	printf("packets=%llu dropped=%llu freezes=%llu blocks=%llu seconds=%.3f user_seconds=%.3f system_seconds=%.3f ns_per_packet=%.1f touched=%llu\n",
		(unsigned long long)n.packets, (unsigned long long)drops, (unsigned long long)freezes, (unsigned long long)n.blocks, wall,
		user, system, n.packets ? (user + system) * 1e9 / (double)n.packets : 0.0, (unsigned long long)n.touched);
	return 0;
}
