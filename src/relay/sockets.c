/*
 * sockets.c: opens, watches and closes the relay's sockets, and takes the ICMP
 * errors that the kernel reports on them.
 */
#include <errno.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "relay/internal.h"

#define BUFFER_BYTES (8 << 20) /* per socket: the relay itself must not lose packets */
#define ERRORS_MAX   256       /* taken in one call */

int sockeye__relay_watch(struct sockeye__relay_run *run, struct sockeye__relay_port *port)
{
	struct epoll_event event = {.events = EPOLLIN, .data.ptr = port};

	return epoll_ctl(run->epoll, EPOLL_CTL_ADD, port->fd, &event) < 0 ? -errno : 0;
}

bool sockeye__relay_same_host(const struct sockeye_sockaddr *a, const struct sockeye_sockaddr *b)
{
	struct sockeye_sockaddr x = *a, y = *b;

	x.u.in.sin_port = y.u.in.sin_port = 0; /* sin6_port is at the same offset */
	return sockeye_sockaddr_equal(&x, &y);
}

void sockeye__relay_port_claim(struct sockeye__relay_run *run, struct sockeye__relay_port *port)
{
	struct sockeye_sockaddr name;

	if (!run->target_here || sockeye_local_name(port->fd, &name) < 0)
		return;
	if (!sockeye__sockaddr_is_any(&name) && !sockeye__relay_same_host(&name, &run->target_name))
		return; /* packets from this port do not have the target's address */
	port->claimed = sockeye_sockaddr_port(&name);
	run->claims[port->claimed]++;
}

void sockeye__relay_prepare(int fd)
{
	static const struct {
		int force, plain;
	} options[] = {{SO_RCVBUFFORCE, SO_RCVBUF}, {SO_SNDBUFFORCE, SO_SNDBUF}};

	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
		if (sockeye__option_set(fd, SOL_SOCKET, options[i].force, BUFFER_BYTES) < 0)
			(void)sockeye__option_set(fd, SOL_SOCKET, options[i].plain, BUFFER_BYTES);
	sockeye__dgram_join(fd);
}

static int socket_open(const struct sockeye_sockaddr *name)
{
	struct sockeye__kind kind;
	int err = sockeye__kind_of(SOCKEYE_UDP, name, &kind), fd;

	if (err < 0)
		return err;
	fd = sockeye__socket_open(&kind, SOCK_NONBLOCK);
	if (fd >= 0)
		sockeye__relay_prepare(fd);
	return fd;
}

void sockeye__relay_port_close(struct sockeye__relay_run *run, struct sockeye__relay_port *port)
{
	if (port->fd >= 0)
		close(port->fd); /* also removes it from the epoll instance */
	port->fd = -1;
	if (port->claimed != 0)
		run->claims[port->claimed]--;
	port->claimed = 0;
}

/* The socket is not connected, because the target may reply from any port. */
int sockeye__relay_target_open(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow)
{
	struct sockeye_sockaddr any = {.len = run->target_name.len};
	int err;

	any.u.sa.sa_family = run->target_name.u.sa.sa_family;
	flow->target = (struct sockeye__relay_port){
	    .kind = SOCKEYE__RELAY_TARGET,
	    .fd = socket_open(&run->target_name),
	    .flow = flow,
	};
	if (flow->target.fd < 0)
		return flow->target.fd;
	err = sockeye__options_apply(flow->target.fd, run->target, &run->target_name);
	if (err == 0)
		err = sockeye_dgram_want_errors(flow->target.fd);
	if (err == 0 && bind(flow->target.fd, &any.u.sa, any.len) < 0)
		err = -errno;
	if (err == 0)
		err = sockeye__relay_watch(run, &flow->target);
	if (err < 0)
		sockeye__relay_port_close(run, &flow->target);
	else
		sockeye__relay_port_claim(run, &flow->target);
	return err;
}

bool sockeye__relay_errors_take(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow)
{
	struct sockeye_dgram_error error;
	bool any = false;

	for (int i = 0; i < ERRORS_MAX && sockeye_dgram_error_recv(flow->target.fd, &error) == 0;
	     i++) {
		any = any || error.from_icmp;
		/* EMSGSIZE: the kernel has learned the MTU; the packet was not refused. */
		if (!error.from_icmp || error.err == -EMSGSIZE)
			continue;
		run->counts->refused++;
		if (!flow->refusal_reported && run->opts.on_refused != NULL)
			run->opts.on_refused(run->opts.arg, flow->number,
					     sockeye_sockaddr_port(&error.peer), error.err);
		flow->refusal_reported = true;
	}
	return any;
}

/* Binds the socket to the address that the client sends to, and to a port that the kernel
 * chooses. */
int sockeye__relay_mapping_open(struct sockeye__relay_run *run, struct sockeye__relay_flow *flow,
				struct sockeye__relay_mapping *mapping)
{
	struct sockeye_sockaddr local = flow->client.local;
	int err = 0;

	if (local.len == 0)
		err = sockeye_local_name(flow->mappings[0].port.fd, &local);
	if (err < 0)
		return err;
	/* sin6_port is at the same offset */
	local.u.in.sin_port = 0;
	mapping->port = (struct sockeye__relay_port){
	    .kind = SOCKEYE__RELAY_MAPPED, .fd = socket_open(&local), .flow = flow};
	if (mapping->port.fd < 0)
		return mapping->port.fd;
	if (local.u.sa.sa_family == AF_INET6)
		err = sockeye__option_set(mapping->port.fd, IPPROTO_IPV6, IPV6_V6ONLY, 0);
	if (err == 0 &&
	    (bind(mapping->port.fd, &local.u.sa, local.len) < 0 ||
	     connect(mapping->port.fd, &flow->client.peer.u.sa, flow->client.peer.len) < 0))
		err = -errno;
	if (err == 0)
		err = sockeye__relay_watch(run, &mapping->port);
	if (err < 0)
		sockeye__relay_port_close(run, &mapping->port);
	else
		sockeye__relay_port_claim(run, &mapping->port);
	return err;
}
