/*
 * client_folder.c: the name of a client's directory (client_folder.h).
 *
 * Asks the kernel for the route to the client and then, if the client is on a network of this
 * machine, for this one neighbor. The kernel answers each question before the call that sends
 * it returns (rtnetlink(7)).
 */
#include "tftp/server/client_folder.h"

#include <arpa/inet.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/net.h"

#define MAC_MAX 20 /* bytes: InfiniBand */
#define HAS_MAC (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT)

struct sockeye__tftp_neighbors {
	int fd;
	uint32_t seq;
};

int sockeye__tftp_neighbors_open(struct sockeye__tftp_neighbors **out)
{
	struct sockeye__tftp_neighbors *n = calloc(1, sizeof *n);
	int err;

	if (n == NULL)
		return -ENOMEM;
	n->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
	if (n->fd < 0) {
		err = -errno;
		free(n);
		return err;
	}
	*out = n;
	return 0;
}

void sockeye__tftp_neighbors_close(struct sockeye__tftp_neighbors *n)
{
	if (n == NULL)
		return;
	close(n->fd);
	free(n);
}

/* A question to the kernel, then its answer. */
union message {
	struct nlmsghdr head;
	char bytes[4096];
};

static const void *address_of(const struct sockeye_sockaddr *client, uint16_t *out_len)
{
	bool v6 = client->u.sa.sa_family == AF_INET6;

	*out_len = v6 ? sizeof client->u.in6.sin6_addr : sizeof client->u.in.sin_addr;
	return v6 ? (const void *)&client->u.in6.sin6_addr : &client->u.in.sin_addr;
}

/* Returns the header of a question about the client, `len` bytes that follow the netlink
 * header. */
static void *question(union message *m, uint16_t type, size_t len)
{
	(void)mnl_nlmsg_put_header(m->bytes);
	m->head.nlmsg_type = type;
	m->head.nlmsg_flags = NLM_F_REQUEST;
	return mnl_nlmsg_put_extra_header(&m->head, len);
}

/* Adds the client's address to the question, sends it, and replaces it by the answer. Returns
 * false if the kernel refuses. */
static bool ask(struct sockeye__tftp_neighbors *n, union message *m, uint16_t address_attr,
		const struct sockeye_sockaddr *client, uint16_t answer_type)
{
	uint16_t address_len;
	const void *address = address_of(client, &address_len);
	ssize_t len;

	mnl_attr_put(&m->head, address_attr, address_len, address);
	m->head.nlmsg_seq = ++n->seq;
	if (send(n->fd, m, m->head.nlmsg_len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return false;
	do
		len = recv(n->fd, m, sizeof *m, MSG_DONTWAIT);
	while ((len < 0 && errno == EINTR) ||
	       (len > 0 && mnl_nlmsg_ok(&m->head, (int)len) && m->head.nlmsg_seq != n->seq));
	return len > 0 && mnl_nlmsg_ok(&m->head, (int)len) && m->head.nlmsg_type == answer_type;
}

/* Returns the attribute of a message whose own header has `skip` bytes, or NULL. */
static const struct nlattr *attr_find(const union message *m, size_t skip, uint16_t type)
{
	const struct nlattr *attr = mnl_nlmsg_get_payload_offset(&m->head, skip);
	const char *end = mnl_nlmsg_get_payload_tail(&m->head);

	for (; mnl_attr_ok(attr, (int)(end - (const char *)attr)); attr = mnl_attr_next(attr))
		if (mnl_attr_get_type(attr) == type)
			return attr;
	return NULL;
}

/* Returns the interface of a client on a network of this machine, or 0. */
static int interface_of(struct sockeye__tftp_neighbors *n, const struct sockeye_sockaddr *client)
{
	union message m;
	struct rtmsg *route;
	const struct nlattr *out;

	if (client->u.sa.sa_family == AF_INET6 && client->u.in6.sin6_scope_id != 0)
		return (int)client->u.in6.sin6_scope_id;
	route = question(&m, RTM_GETROUTE, sizeof *route);
	route->rtm_family = (uint8_t)client->u.sa.sa_family;
	route->rtm_dst_len = client->u.sa.sa_family == AF_INET6 ? 128 : 32;
	if (!ask(n, &m, RTA_DST, client, RTM_NEWROUTE))
		return 0;
	route = mnl_nlmsg_get_payload(&m.head);
	out = attr_find(&m, sizeof *route, RTA_OIF);
	if (route->rtm_type != RTN_UNICAST || attr_find(&m, sizeof *route, RTA_GATEWAY) != NULL ||
	    attr_find(&m, sizeof *route, RTA_VIA) != NULL || out == NULL ||
	    mnl_attr_validate(out, MNL_TYPE_U32) < 0)
		return 0;
	return (int)mnl_attr_get_u32(out);
}

/* Writes the MAC address of the client as the name of its directory, or "". */
static void mac_find(struct sockeye__tftp_neighbors *n, const struct sockeye_sockaddr *client,
		     char out[SOCKEYE__TFTP_FOLDER_MAX])
{
	union message m;
	struct ndmsg *neighbor;
	const struct nlattr *mac;
	const uint8_t *bytes;
	int interface = interface_of(n, client);
	size_t len;

	out[0] = '\0';
	if (interface == 0)
		return;
	neighbor = question(&m, RTM_GETNEIGH, sizeof *neighbor);
	neighbor->ndm_family = (uint8_t)client->u.sa.sa_family;
	neighbor->ndm_ifindex = interface;
	if (!ask(n, &m, NDA_DST, client, RTM_NEWNEIGH))
		return;
	neighbor = mnl_nlmsg_get_payload(&m.head);
	mac = attr_find(&m, sizeof *neighbor, NDA_LLADDR);
	if ((neighbor->ndm_state & HAS_MAC) == 0 || mac == NULL)
		return;
	len = mnl_attr_get_payload_len(mac);
	bytes = mnl_attr_get_payload(mac);
	if (len == 0 || len > MAC_MAX)
		return;
	for (size_t i = 0; i < len; i++)
		snprintf(out + 3 * i, 4, "%02x-", bytes[i]);
	out[3 * len - 1] = '\0';              /* the last dash */
	if (strspn(out, "0-") == strlen(out)) /* loopback */
		out[0] = '\0';
}

void sockeye__tftp_client_folder(enum sockeye__tftp_unique_root kind,
				 struct sockeye__tftp_neighbors *n,
				 const struct sockeye_sockaddr *client,
				 char out[SOCKEYE__TFTP_FOLDER_MAX])
{
	struct sockeye_sockaddr plain = sockeye__sockaddr_unmapped(client);
	uint16_t len;

	out[0] = '\0';
	if (kind == SOCKEYE__TFTP_UNIQUE_IP)
		(void)inet_ntop(plain.u.sa.sa_family, address_of(&plain, &len), out,
				SOCKEYE__TFTP_FOLDER_MAX);
	else if (kind == SOCKEYE__TFTP_UNIQUE_MAC && n != NULL)
		mac_find(n, &plain, out);
}
