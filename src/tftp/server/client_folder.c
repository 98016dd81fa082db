/*
 * client_folder.c: the name of a client's directory (client_folder.h).
 *
 * Asks the kernel for the route to the client and then, if the client is on a network of this
 * machine, for this one neighbor. The kernel answers each question before the call that sends
 * it returns (rtnetlink(7)).
 */
#include "tftp/server/client_folder.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <sockeye/time.h>

#include "net/net.h"

#define CACHE      256
#define KEEP_NS    SOCKEYE_NS_PER_S /* an answer is used this long */
#define MAC_MAX    20               /* bytes: InfiniBand */
#define HAS_MAC    (NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT)
#define ANSWER_MAX 4096

struct entry {
	struct sockeye_sockaddr client; /* port 0 */
	uint64_t until_ns;
	char folder[SOCKEYE__TFTP_FOLDER_MAX];
};

struct sockeye__tftp_neighbors {
	int fd;
	uint32_t seq;
	struct entry cache[CACHE];
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

/* A question about one address. */
struct question {
	struct nlmsghdr head;
	union {
		struct rtmsg route;
		struct ndmsg neighbor;
	} of;
	struct rtattr attr;
	uint8_t address[16];
};

static_assert(offsetof(struct question, attr) == NLMSG_LENGTH(sizeof(struct rtmsg)) &&
		  sizeof(struct rtmsg) == sizeof(struct ndmsg),
	      "the attribute follows the header of both messages");

/* A message of the kernel. */
struct answer {
	union {
		struct nlmsghdr head;
		uint8_t bytes[ANSWER_MAX];
	} u;
};

static const void *address_of(const struct sockeye_sockaddr *client, uint16_t *out_len)
{
	bool v6 = client->u.sa.sa_family == AF_INET6;

	*out_len = v6 ? sizeof client->u.in6.sin6_addr : sizeof client->u.in.sin_addr;
	return v6 ? (const void *)&client->u.in6.sin6_addr : &client->u.in.sin_addr;
}

/* Sends the question and receives the answer to it. Returns false if the kernel refuses. */
static bool ask(struct sockeye__tftp_neighbors *n, struct question *q, uint16_t type,
		struct answer *out)
{
	ssize_t len;

	q->head.nlmsg_type = type;
	q->head.nlmsg_flags = NLM_F_REQUEST;
	q->head.nlmsg_seq = ++n->seq;
	if (send(n->fd, q, q->head.nlmsg_len, MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return false;
	do
		len = recv(n->fd, &out->u, sizeof out->u, MSG_DONTWAIT);
	while ((len < 0 && errno == EINTR) ||
	       (len >= (ssize_t)sizeof out->u.head && out->u.head.nlmsg_seq != n->seq));
	return len >= (ssize_t)sizeof out->u.head && out->u.head.nlmsg_len <= (size_t)len &&
	       out->u.head.nlmsg_type != NLMSG_ERROR;
}

/* Returns the attribute of a message whose own header has `skip` bytes, or NULL. */
static const struct rtattr *attr_find(const struct answer *a, size_t skip, uint16_t type)
{
	const size_t end = a->u.head.nlmsg_len;
	const struct rtattr *attr;

	for (size_t at = NLMSG_HDRLEN + NLMSG_ALIGN(skip); at + sizeof *attr <= end;
	     at += RTA_ALIGN(attr->rta_len)) {
		attr = (const void *)(a->u.bytes + at);
		if (attr->rta_len < sizeof *attr || attr->rta_len > end - at)
			return NULL;
		if (attr->rta_type == type)
			return attr;
	}
	return NULL;
}

static struct question question(const struct sockeye_sockaddr *client, uint16_t attr_type)
{
	struct question q = {.head.nlmsg_len = 0};
	uint16_t len;
	const void *address = address_of(client, &len);

	q.attr.rta_type = attr_type;
	q.attr.rta_len = (uint16_t)(RTA_LENGTH(0) + len);
	memcpy(q.address, address, len);
	q.head.nlmsg_len = (uint32_t)(NLMSG_LENGTH(sizeof q.of) + q.attr.rta_len);
	return q;
}

/* Returns the interface of a client on a network of this machine, or 0. */
static int interface_of(struct sockeye__tftp_neighbors *n, const struct sockeye_sockaddr *client)
{
	struct question q = question(client, RTA_DST);
	const struct rtattr *out;
	const struct rtmsg *route;
	struct answer a;
	int index;

	if (client->u.sa.sa_family == AF_INET6 && client->u.in6.sin6_scope_id != 0)
		return (int)client->u.in6.sin6_scope_id;
	q.of.route.rtm_family = (uint8_t)client->u.sa.sa_family;
	q.of.route.rtm_dst_len = client->u.sa.sa_family == AF_INET6 ? 128 : 32;
	if (!ask(n, &q, RTM_GETROUTE, &a) || a.u.head.nlmsg_type != RTM_NEWROUTE)
		return 0;
	route = NLMSG_DATA(&a.u.head);
	out = attr_find(&a, sizeof *route, RTA_OIF);
	if (route->rtm_type != RTN_UNICAST || attr_find(&a, sizeof *route, RTA_GATEWAY) != NULL ||
	    attr_find(&a, sizeof *route, RTA_VIA) != NULL || out == NULL)
		return 0;
	memcpy(&index, RTA_DATA(out), sizeof index);
	return index;
}

/* Writes the MAC address of the client as the name of its directory, or "". */
static void mac_find(struct sockeye__tftp_neighbors *n, const struct sockeye_sockaddr *client,
		     char out[SOCKEYE__TFTP_FOLDER_MAX])
{
	struct question q = question(client, NDA_DST);
	const struct ndmsg *neighbor;
	const struct rtattr *mac;
	struct answer a;

	out[0] = '\0';
	q.of.neighbor.ndm_family = (uint8_t)client->u.sa.sa_family;
	q.of.neighbor.ndm_ifindex = interface_of(n, client);
	if (q.of.neighbor.ndm_ifindex == 0 || !ask(n, &q, RTM_GETNEIGH, &a) ||
	    a.u.head.nlmsg_type != RTM_NEWNEIGH)
		return;
	neighbor = NLMSG_DATA(&a.u.head);
	mac = attr_find(&a, sizeof *neighbor, NDA_LLADDR);
	if ((neighbor->ndm_state & HAS_MAC) == 0 || mac == NULL || RTA_PAYLOAD(mac) > MAC_MAX)
		return;
	for (size_t i = 0; i < RTA_PAYLOAD(mac); i++)
		snprintf(out + 3 * i, 4, "%02x-", ((const uint8_t *)RTA_DATA(mac))[i]);
	if (out[0] != '\0')
		out[3 * RTA_PAYLOAD(mac) - 1] = '\0'; /* the last dash */
	if (strspn(out, "0-") == strlen(out))         /* loopback */
		out[0] = '\0';
}

static struct entry *entry_of(struct sockeye__tftp_neighbors *n,
			      const struct sockeye_sockaddr *client)
{
	uint16_t len;
	const uint8_t *address = address_of(client, &len);
	unsigned sum = 0;

	for (unsigned i = 0; i < len; i++)
		sum = sum * 31 + address[i];
	return &n->cache[sum % CACHE];
}

static void port_clear(struct sockeye_sockaddr *name)
{
	if (name->u.sa.sa_family == AF_INET6)
		name->u.in6.sin6_port = 0;
	else
		name->u.in.sin_port = 0;
}

void sockeye__tftp_client_folder(enum sockeye__tftp_unique_root kind,
				 struct sockeye__tftp_neighbors *n,
				 const struct sockeye_sockaddr *client, uint64_t now_ns,
				 char out[SOCKEYE__TFTP_FOLDER_MAX])
{
	struct sockeye_sockaddr plain = sockeye__sockaddr_unmapped(client);
	struct entry *entry;
	uint16_t len;

	port_clear(&plain);
	out[0] = '\0';
	if (kind == SOCKEYE__TFTP_UNIQUE_IP)
		(void)inet_ntop(plain.u.sa.sa_family, address_of(&plain, &len), out,
				SOCKEYE__TFTP_FOLDER_MAX);
	if (kind != SOCKEYE__TFTP_UNIQUE_MAC || n == NULL)
		return;
	entry = entry_of(n, &plain);
	if (now_ns >= entry->until_ns || !sockeye_sockaddr_equal(&entry->client, &plain)) {
		entry->client = plain;
		mac_find(n, &plain, entry->folder);
		/* An unknown neighbor may become known at any time. */
		entry->until_ns = entry->folder[0] != '\0' ? now_ns + KEEP_NS : 0;
	}
	memcpy(out, entry->folder, sizeof entry->folder);
}
