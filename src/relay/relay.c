/*
 * relay.c: the loop of the relay: receive a batch, apply the fault rules to each
 * packet, send the packets that pass. See relay.h.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <sockeye/time.h>

#include "relay/internal.h"

#define EVENTS_MAX    64
#define BATCHES_MAX   4 /* from one socket before the next is served */
#define FLOWS_DEFAULT 1024
#define IDLE_DEFAULT  (60 * SOCKEYE_NS_PER_S)
#define QUEUE_DEFAULT (UINT64_C(64) << 20)
#define FDS_OTHER     32

/* --- a packet --- */

static void report(const struct sockeye__relay_run *run, const struct sockeye__relay_flow *flow,
		   enum sockeye__fault_direction direction,
		   const struct sockeye__fault_verdict *verdict, const uint8_t *data, size_t len)
{
	if (run->opts.on_event != NULL)
		run->opts.on_event(run->opts.arg, &(struct sockeye__relay_event){
						      .kind = SOCKEYE__RELAY_JUDGED,
						      .flow = flow->number,
						      .direction = direction,
						      .number = flow->streams[direction].count,
						      .verdict = verdict,
						      .data = data,
						      .len = len});
}

static void judge(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow,
		  struct sockeye__relay_mapping *mapping, enum sockeye__fault_direction direction,
		  uint8_t *data, size_t len)
{
	struct sockeye__fault_verdict verdict;

	sockeye__fault_judge(&run->opts.rules[direction], &flow->streams[direction], data, len,
			     &verdict);
	report(run, flow, direction, &verdict, data, len);
	if (verdict.fate != SOCKEYE__FAULT_PASSED) {
		run->counts->direction[direction].dropped++;
		return;
	}
	if (verdict.corrupt_mask != 0) {
		run->counts->direction[direction].corrupted++;
		data[verdict.corrupt_byte] ^= verdict.corrupt_mask;
	}
	sockeye__relay_pass(run, flow, mapping, direction, &verdict, data, len);
}

/* Returns the flow and the mapping of a packet. Returns NULL if they cannot be opened, or
 * if the packet is not from the target; *out_stranger is then true. */
static struct sockeye__relay_flow *route(struct sockeye__relay_run *run,
					 struct sockeye__relay_port *port, struct msghdr *msg,
					 struct sockeye__relay_mapping **out_mapping,
					 bool *out_stranger)
{
	struct sockeye_dgram from = {.peer.len = sockeye__name_len(msg->msg_namelen)};
	struct sockeye__relay_flow *flow = port->flow;
	uint16_t number;

	*out_stranger = false;
	memcpy(&from.peer.u, msg->msg_name, from.peer.len);
	switch (port->kind) {
	case SOCKEYE__RELAY_LISTENER:
		if (port->wildcard)
			sockeye__dgram_local(msg, &from);
		flow = sockeye__relay_flow_of(run, port, &from);
		*out_mapping = flow != NULL ? &flow->mappings[0] : NULL;
		break;
	case SOCKEYE__RELAY_TARGET:
		number = sockeye_sockaddr_port(&from.peer);
		*out_stranger = !sockeye__relay_same_host(&from.peer, &run->target_name) ||
				run->claims[number] > 0 ||
				(run->opts.no_follow && number != run->asked_port);
		*out_mapping = *out_stranger ? NULL : sockeye__relay_mapping_of(run, flow, number);
		break;
	default: /* the port is the first member of its mapping */
		*out_mapping = (struct sockeye__relay_mapping *)port;
	}
	return *out_mapping != NULL ? flow : NULL;
}

static void inbox_reset(struct sockeye__relay_inbox *in)
{
	for (unsigned i = 0; i < in->used; i++) {
		in->msgs[i].msg_hdr.msg_namelen = sizeof in->names[i].u;
		in->msgs[i].msg_hdr.msg_controllen = SOCKEYE__CONTROL_MAX;
	}
	in->used = 0;
}

static void take(struct sockeye__relay_run *run, struct sockeye__relay_port *port, unsigned i)
{
	enum sockeye__fault_direction direction =
	    port->kind == SOCKEYE__RELAY_TARGET ? SOCKEYE__FAULT_DOWN : SOCKEYE__FAULT_UP;
	struct msghdr *msg = &run->inbox.msgs[i].msg_hdr;
	size_t len = run->inbox.msgs[i].msg_len, segment = sockeye__dgram_segment(msg, len), at = 0;
	struct sockeye__relay_mapping *mapping;
	bool stranger;
	struct sockeye__relay_flow *flow = route(run, port, msg, &mapping, &stranger);

	if (flow != NULL)
		sockeye__relay_flow_touch(run, flow);
	do { /* at least once: a packet may be empty */
		size_t n = len - at < segment ? len - at : segment;

		run->counts->strangers += stranger;
		run->counts->direction[direction].in += !stranger;
		run->counts->direction[direction].in_bytes += stranger ? 0 : n;
		if (flow != NULL)
			judge(run, flow, mapping, direction, run->inbox.data[i] + at, n);
		else
			run->counts->direction[direction].lost += !stranger;
		at += n;
	} while (at < len);
}

/* Receives and handles a batch. Returns whether more packets may be waiting. */
static bool receive_batch(struct sockeye__relay_run *run, struct sockeye__relay_port *port)
{
	struct sockeye__relay_inbox *in = &run->inbox;
	int n;

	inbox_reset(in);
	n = recvmmsg(port->fd, in->msgs, SOCKEYE__RELAY_BATCH, MSG_DONTWAIT, NULL);
	if (n <= 0)
		return false; /* ignore errors: ICMP reports that a client closed its port */
	in->used = (unsigned)n;
	run->now_ns = sockeye_now().mono_ns;
	for (unsigned i = 0; i < in->used; i++)
		take(run, port, i);
	sockeye__relay_flush(run);
	return n == SOCKEYE__RELAY_BATCH;
}

/* --- the loop --- */

static void turn(struct sockeye__relay_run *run, struct sockeye__relay_port *port, uint32_t events,
		 bool *stop)
{
	uint64_t count;

	switch (port->kind) {
	case SOCKEYE__RELAY_STOP:
		*stop = true;
		return;
	case SOCKEYE__RELAY_REPORT:
		if (read(port->fd, &count, sizeof count) > 0 && run->opts.on_counts != NULL)
			run->opts.on_counts(run->opts.arg, run->counts);
		return;
	case SOCKEYE__RELAY_TARGET:
		if (events & EPOLLERR)
			(void)sockeye__relay_errors_take(run, port->flow);
		break;
	default:
		break;
	}
	for (int i = 0; i < BATCHES_MAX && port->fd >= 0 && receive_batch(run, port); i++)
		if (sockeye__relay_next_ns(run) <= run->now_ns)
			sockeye__relay_release(run);
}

static void idle_close(struct sockeye__relay_run *run)
{
	struct sockeye__relay_flow *flow;

	while ((flow = run->oldest) != NULL && run->now_ns - flow->used_ns >= run->opts.idle_ns) {
		unsigned waiting = 0;

		for (unsigned direction = 0; direction < SOCKEYE__FAULT_DIRECTIONS; direction++)
			waiting += flow->queued[direction] + flow->held_count[direction];
		if (waiting > 0)
			sockeye__relay_flow_touch(run, flow); /* packets are still queued */
		else
			sockeye__relay_flow_close(run, flow);
	}
}

static uint64_t wake_ns(const struct sockeye__relay_run *run)
{
	uint64_t wake = sockeye__relay_next_ns(run);

	if (run->oldest != NULL && run->oldest->used_ns + run->opts.idle_ns < wake)
		wake = run->oldest->used_ns + run->opts.idle_ns;
	return run->end_ns < wake ? run->end_ns : wake;
}

/* Waits with a timeout in nanoseconds if the kernel has epoll_pwait2(2) (Linux 5.11),
 * otherwise in milliseconds. */
static int wait_events(const struct sockeye__relay_run *run, struct epoll_event *events)
{
	uint64_t wake = wake_ns(run), left = wake > run->now_ns ? wake - run->now_ns : 0;
	struct timespec ts = {(time_t)(left / SOCKEYE_NS_PER_S), (long)(left % SOCKEYE_NS_PER_S)};
	int n = epoll_pwait2(run->epoll, events, EVENTS_MAX, wake == UINT64_MAX ? NULL : &ts, NULL);

	if (n < 0 && errno == ENOSYS)
		n = epoll_wait(run->epoll, events, EVENTS_MAX,
			       wake == UINT64_MAX ? -1 : sockeye__poll_ms(wake, run->now_ns));
	return n;
}

static void loop(struct sockeye__relay_run *run)
{
	struct epoll_event events[EVENTS_MAX];
	bool stop = false;

	while (!stop && run->now_ns < run->end_ns) {
		int n = wait_events(run, events);

		run->now_ns = sockeye_now().mono_ns;
		for (int i = 0; i < n; i++) {
			struct sockeye__relay_port *port = events[i].data.ptr;

			if (port->fd >= 0)
				turn(run, port, events[i].events, &stop);
		}
		run->now_ns = sockeye_now().mono_ns;
		sockeye__relay_release(run);
		idle_close(run);
	}
}

/* --- opening and closing --- */

static void defaults_set(struct sockeye__relay_opts *opts)
{
	if (opts->flows_max == 0)
		opts->flows_max = FLOWS_DEFAULT;
	if (opts->idle_ns == 0)
		opts->idle_ns = IDLE_DEFAULT;
	if (opts->queue_max == 0)
		opts->queue_max = QUEUE_DEFAULT;
}

static void inbox_init(struct sockeye__relay_inbox *in)
{
	for (unsigned i = 0; i < SOCKEYE__RELAY_BATCH; i++) {
		in->iovs[i] = (struct iovec){in->data[i], sizeof in->data[i]};
		in->msgs[i].msg_hdr = (struct msghdr){
		    .msg_name = &in->names[i].u,
		    .msg_iov = &in->iovs[i],
		    .msg_iovlen = 1,
		    .msg_control = in->control[i],
		};
	}
	in->used = SOCKEYE__RELAY_BATCH;
}

/* Raises the limit on open files to what the flows can need, up to the hard limit. When
 * file descriptors run out, the oldest flows are closed. */
static void files_raise(uint32_t flows_max)
{
	rlim_t needed = (rlim_t)flows_max * SOCKEYE__RELAY_MAPPINGS_MAX + FDS_OTHER;
	struct rlimit files;

	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur >= needed)
		return;
	files.rlim_cur = needed < files.rlim_max ? needed : files.rlim_max;
	(void)setrlimit(RLIMIT_NOFILE, &files);
}

/* Whether the address belongs to this machine. */
static bool is_here(const struct sockeye_sockaddr *name)
{
	struct sockeye_sockaddr any_port = *name;
	struct sockeye__kind kind;
	int fd = sockeye__kind_of(SOCKEYE_UDP, name, &kind);
	bool here;

	if (fd == 0)
		fd = sockeye__socket_open(&kind, 0);
	if (fd < 0)
		return false;
	any_port.u.in.sin_port = 0; /* sin6_port is at the same offset */
	here = bind(fd, &any_port.u.sa, any_port.len) == 0;
	close(fd);
	return here;
}

static int watch_extra(struct sockeye__relay_run *run, struct sockeye__relay_port *port,
		       enum sockeye__relay_kind kind, int fd)
{
	*port = (struct sockeye__relay_port){.kind = kind, .fd = fd};
	return fd > 0 ? sockeye__relay_watch(run, port) : 0;
}

static int init(struct sockeye__relay_run *run, const struct sockeye_listener *listeners,
		size_t count)
{
	int err = sockeye__relay_flows_init(run);

	if (err < 0)
		return err;
	inbox_init(&run->inbox);
	run->target_here = is_here(&run->target_name);
	files_raise(run->opts.flows_max);
	run->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (run->epoll < 0)
		return -errno;
	for (size_t i = 0; i < count && err == 0; i++) {
		run->listeners[i] = (struct sockeye__relay_port){
		    .kind = SOCKEYE__RELAY_LISTENER,
		    .fd = listeners[i].fd,
		    .wildcard = sockeye__sockaddr_is_any(&listeners[i].name),
		};
		sockeye__relay_prepare(listeners[i].fd);
		sockeye__relay_port_claim(run, &run->listeners[i]);
		err = sockeye__relay_watch(run, &run->listeners[i]);
	}
	if (err == 0)
		err = watch_extra(run, &run->stop, SOCKEYE__RELAY_STOP, run->opts.stop_fd);
	if (err == 0)
		err = watch_extra(run, &run->report, SOCKEYE__RELAY_REPORT, run->opts.report_fd);
	run->now_ns = sockeye_now().mono_ns;
	run->end_ns = run->opts.time_ns > 0 ? run->now_ns + run->opts.time_ns : UINT64_MAX;
	return err;
}

bool sockeye__relay_is_own(const struct sockeye_listener *listener,
			   const struct sockeye_sockaddr *target_name)
{
	const struct sockeye_sockaddr *name = &listener->name;

	if (sockeye_sockaddr_port(name) != sockeye_sockaddr_port(target_name))
		return false;
	return sockeye_sockaddr_equal(name, target_name) ||
	       (sockeye__sockaddr_is_any(name) && is_here(target_name) &&
		(name->u.sa.sa_family == target_name->u.sa.sa_family ||
		 name->u.sa.sa_family == AF_INET6));
}

int sockeye__relay(const struct sockeye_listener *listeners, size_t count,
		   const struct sockeye_addr *target, const struct sockeye_sockaddr *target_name,
		   const struct sockeye__relay_opts *opts, struct sockeye__relay_counts *out_counts,
		   struct sockeye_fail *fail)
{
	struct sockeye__relay_run *run = calloc(1, sizeof *run);
	int err = -ENOMEM;

	*out_counts = (struct sockeye__relay_counts){0};
	if (run != NULL) {
		run->opts = *opts;
		defaults_set(&run->opts);
		run->target = target;
		run->target_name = *target_name;
		run->asked_port = sockeye_sockaddr_port(target_name);
		run->counts = out_counts;
		run->epoll = -1;
		err = count > SOCKEYE__RELAY_LISTENERS_MAX ? -EINVAL : init(run, listeners, count);
	}
	if (err == 0 && (opts->on_ready == NULL || opts->on_ready(opts->arg) == 0))
		loop(run);
	if (run != NULL) {
		sockeye__relay_flows_fini(run);
		sockeye__relay_queue_fini(run);
		if (run->epoll >= 0)
			close(run->epoll);
		free(run);
	}
	return err < 0 ? sockeye__fail_set(fail, "relay", "", err) : 0;
}
